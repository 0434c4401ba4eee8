// GuestNetwork
