// warren
