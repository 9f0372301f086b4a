module slipway.local/config-loader

go 1.26
