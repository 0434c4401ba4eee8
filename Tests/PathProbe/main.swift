import Foundation

// One participant of a scripted network, run inside a namespace: it reads commands line by line and answers each with
// one line of JSON.
//
//     path-probe server HOST STATE-DIRECTORY
//     path-probe node CONTROL-URL AUTH-KEY NAME
//     path-probe wireguard PRIVATE-KEY PEER-KEY PORT PEER-ADDRESS:PORT…
//     path-probe stun ADDRESS…
let arguments = Array(CommandLine.arguments.dropFirst())
switch (arguments.first, arguments.count) {
case ("server", 3): try await ServerProbe.run(host: arguments[1], stateDirectory: arguments[2])
case ("node", 4): try await NodeProbe.run(url: arguments[1], authKey: arguments[2], name: arguments[3])
case ("wireguard", 5...): try await WireGuardProbe.run(Array(arguments.dropFirst()))
case ("stun", 2...): try await STUNProbe.run(addresses: Array(arguments.dropFirst()))
default:
    FileHandle.standardError.write(Data("usage: path-probe server|node|wireguard|stun …\n".utf8))
    exit(2)
}
