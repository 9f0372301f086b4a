module slipway.local/tools

go 1.26.0
