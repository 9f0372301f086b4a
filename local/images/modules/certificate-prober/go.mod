module slipway.local/certificate-prober

go 1.26
