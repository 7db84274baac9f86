package chain_test

const fillerCommand = "filler"

func filler() {}
