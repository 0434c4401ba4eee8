// warrend
