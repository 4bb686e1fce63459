internal import JSONValue
internal import SystemCalls
internal import SystemPackage
public import UnionCore

extension Transaction {
  /// Makes the two layers of a container in their places: `ID-init` with the placeholders on the
  /// image's layer, `ID` on that.
  ///
  /// - Returns: the new id and the directory of the container's own files.
  public func makeContainerLayers(on image: Image) throws(Failure) -> NewLayer {
    let id = ObjectID.random()
    _ = ProcessCall.raiseDescriptorLimit()
    let parent = image.layers.isEmpty ? nil : image.layers[0].id
    let initial = try makeLayer(id.initLayer, on: parent)
    var below: [StoreDirectory] = []
    if let parent {
      let chain = [parent] + (try store.layersFile(of: parent).parents.map(\.id))
      for layer in chain { below.append(try store.diff(of: layer)) }
    }
    try about(initial.path) { () throws(Errno) in try InitLayer.fill(initial, below: below) }
    return NewLayer(id: id, diff: try makeLayer(id.layer, on: id.initLayer))
  }

  /// Describes the container whose layers `makeContainerLayers` has made. For `publish`'s `decide`,
  /// which knows the names that are taken.
  ///
  /// - Parameter resolver: what its resolv.conf begins with.
  /// - Returns: the container's name.
  @discardableResult
  public func describe(
    _ id: ObjectID, of image: Image, _ options: ContainerOptions, resolver: [UInt8],
    _ catalog: Catalog
  ) throws(Failure) -> String {
    try options.check()
    let name = try options.freeName(catalog)
    let host = options.hostname ?? id.short
    let parts = host.split(separator: ".", maxSplits: 1).map { String($0) }
    let hostname = (parts.first ?? host, domain: parts.count > 1 ? parts[1] : "")
    let config = try options.config(of: image.config, hostname: hostname)
    let directory = try stageContainer(id)
    let place = store.layout.containers.appending(id.hex)
    let json = try options.json(id, image, config, name: name, place: place)
    let hosts = ContainerOptions.hosts(hostname.0, hostname.domain)
    try about(directory.path) { () throws(Errno) in
      try directory.write("config.json", json.bytes)
      try directory.write("hostconfig.json", options.hostConfig.bytes)
      try directory.write("hostname", Array("\(hostname.0)\n".utf8), mode: 0o644)
      try directory.write("hosts", hosts, mode: 0o644)
      try directory.write("resolv.conf", resolver, mode: 0o644)
    }
    return name
  }
}

extension LayerStore {
  /// Makes a container of an image.
  ///
  /// - Parameter resolver: what its resolv.conf begins with.
  /// - Returns: its id and its name.
  public func createContainer(
    of image: String, _ options: ContainerOptions, resolver: [UInt8]
  ) throws(Failure) -> (id: ObjectID, name: String) {
    var options = options
    if options.imageName.isEmpty { options.imageName = image }
    try options.check()
    let transaction = try transaction()
    let (found, before) = try transaction.use(named: image)
    // What is wrong is said before anything is made.
    _ = try ContainerOptions.program(of: options.config(of: found.config, hostname: ("", "")))
    _ = try options.freeName(before)
    let layer = try transaction.makeContainerLayers(on: found)
    var name = ""
    try transaction.publish(flushing: false) { catalog, _, _ throws(Failure) in
      name = try transaction.describe(
        layer.id, of: found, options, resolver: resolver, catalog)
    }
    return (layer.id, name)
  }

  /// Docker's rule of `rm`: what runs stays, unless it is forced.
  public static func checkRemoval(of container: Container, force: Bool) throws(Failure) {
    if container.isRunning, !force {
      throw Failure(
        .failed, "You cannot remove a running container \(container.id)",
        advice: "stop the container before, or add -f")
    }
  }
}

/// The files of a container.
extension ContainerOptions {
  func freeName(_ catalog: Catalog) throws(Failure) -> String {
    let taken = Dictionary(
      catalog.containers.values.map { ($0.name, $0.id) }, uniquingKeysWith: { first, _ in first })
    guard let name else { return ContainerNames.random { taken[$0] == nil } }
    if let owner = taken[name] {
      throw Failure(
        .failed,
        "Conflict. The name \"\(name)\" is already in use by container \(owner.short)",
        advice: "remove that container with 'rm', or choose another name")
    }
    return name
  }

  /// `config.json`, as Docker 1.9 has it.
  func json(
    _ id: ObjectID, _ image: Image, _ config: JSONValue, name: String, place: FilePath
  ) throws(Failure) -> JSONValue {
    let program = try Self.program(of: config)
    let never: JSONValue = "0001-01-01T00:00:00Z"
    var points: [String: JSONValue] = [:]
    for mount in try mounts() {
      guard let source = mount.source else { continue }
      points[mount.destination] = [
        "Name": "", "Destination": .string(mount.destination), "Driver": "",
        "RW": .bool(mount.isWritable), "Source": .string(source), "Relabel": .string(mount.mode),
      ]
    }
    return [
      "State": [
        "Running": false, "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false,
        "Pid": 0, "ExitCode": 0, "Error": "", "StartedAt": never, "FinishedAt": never,
      ],
      "ID": .string(id.hex), "Created": .string(Timestamp.now.rfc3339),
      "Path": .string(program.path), "Args": .array(program.arguments.map { .string($0) }),
      "Config": config, "Image": .string(image.id.hex),
      "NetworkSettings": [
        "Bridge": "", "SandboxID": "", "HairpinMode": false, "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0, "Networks": .null, "Ports": .null, "SandboxKey": "",
        "SecondaryIPAddresses": .null, "SecondaryIPv6Addresses": .null,
      ],
      "HostnamePath": .string("\(place.appending("hostname"))"),
      "HostsPath": .string("\(place.appending("hosts"))"),
      "ResolvConfPath": .string("\(place.appending("resolv.conf"))"), "LogPath": "",
      "Name": .string("/\(name)"), "Driver": "aufs", "ExecDriver": "native-0.2", "MountLabel": "",
      "ProcessLabel": "", "AppArmorProfile": "", "RestartCount": 0, "HasBeenStartedBefore": false,
      "HasBeenManuallyStopped": false, "MountPoints": .object(points), "Volumes": .null,
      "VolumesRW": .null, "ShmPath": "", "MqueuePath": "",
    ]
  }

  /// `hostconfig.json`, as Docker 1.9 has it.
  var hostConfig: JSONValue {
    let binds = volumes.filter { $0.contains(":") }
    return [
      "Binds": binds.isEmpty ? .null : .array(binds.map { .string($0) }), "ContainerIDFile": "",
      "LxcConf": [], "Memory": 0, "MemoryReservation": 0, "MemorySwap": 0, "KernelMemory": 0,
      "CpuShares": 0, "CpuPeriod": 0, "CpusetCpus": "", "CpusetMems": "", "CpuQuota": 0,
      "BlkioWeight": 0, "OomKillDisable": false, "MemorySwappiness": -1, "Privileged": false,
      "PortBindings": [:], "Links": .null, "PublishAllPorts": false, "Dns": [], "DnsOptions": [],
      "DnsSearch": [], "ExtraHosts": .null, "VolumesFrom": .null, "Devices": [],
      "NetworkMode": .string(network), "IpcMode": "", "PidMode": "", "UTSMode": "",
      "CapAdd": .null, "CapDrop": .null, "GroupAdd": .null,
      "RestartPolicy": ["Name": "no", "MaximumRetryCount": 0], "SecurityOpt": .null,
      "ReadonlyRootfs": false, "Ulimits": .null, "LogConfig": ["Type": "none", "Config": [:]],
      "CgroupParent": "", "ConsoleSize": [0, 0], "VolumeDriver": "",
    ]
  }

  static func hosts(_ name: String, _ domain: String) -> [UInt8] {
    let full = domain.isEmpty ? name : "\(name).\(domain) \(name)"
    return Array(
      """
      127.0.0.1\tlocalhost
      127.0.1.1\t\(full)
      ::1\tlocalhost ip6-localhost ip6-loopback
      fe00::0\tip6-localnet
      ff00::0\tip6-mcastprefix
      ff02::1\tip6-allnodes
      ff02::2\tip6-allrouters

      """.utf8)
  }
}
