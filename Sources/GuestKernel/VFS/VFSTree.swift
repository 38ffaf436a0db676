/// What the tree holds at the start.
extension VFS {
  /// Makes `/dev`, `/proc`, `/sys` and `/tmp`.
  func populate() {
    if let point = directory("dev") { populateDevices(point) }
    if let point = directory("proc") {
      _ = mount(point, "proc", FileSystem.procMagic) { ProcTree.makeRoot($0, self) }
    }
    if let point = directory("sys") {
      _ = mount(point, "sysfs", FileSystem.sysfsMagic, readOnly: true) {
        TmpfsDirectory($0, permissions: 0o555)
      }
    }
    if let point = directory("tmp") {
      _ = mount(point, "tmpfs", FileSystem.tmpfsMagic) { TmpfsDirectory($0, permissions: 0o1777) }
    }
  }

  /// A directory of the root, made where it is not there.
  private func directory(_ name: Path) -> Dentry? { try? child(name, of: root) }

  /// A directory in a directory.
  ///
  /// What has the name and is no directory is covered (host) or refused.
  private func child(_ name: Path, of parent: Dentry) throws(Errno) -> Dentry {
    if let there = try parent.inode.lookup(name, in: parent), there.inode.isDirectory {
      return there
    }
    let inode: Inode =
      parent.inode is HostDirectory
      ? TmpfsDirectory(hostTree.fileSystem, permissions: 0o755)
      : TmpfsDirectory(parent.inode.fileSystem, permissions: 0o755)
    let dentry = Dentry(inode, name: name, parent: parent)
    try put(dentry, in: parent)
    return dentry
  }

  private func put(_ dentry: Dentry, in parent: Dentry) throws(Errno) {
    if let host = parent.inode as? HostDirectory {
      host.overlay(dentry)
      return
    }
    if let there = try parent.inode.lookup(dentry.name, in: parent) {
      guard !there.inode.isDirectory else { throw .EISDIR }
      try parent.inode.remove(there)
      there.isUnlinked = true
    }
    try parent.inode.insert(dentry)
  }

  /// Puts a program into the tree at an absolute or root-relative path, whatever the tree has
  /// there; makes the directories on the way.
  public func installProgram(_ path: Path, _ bytes: HostBytes) throws(Errno) {
    guard path.bytes.count < Path.pathLimit else { throw .ENAMETOOLONG }
    var names: [Path] = []
    for part in path.bytes.split(separator: Path.slash) {
      let name = Path(Array(part))
      guard name.bytes.count <= Path.nameLimit else { throw .ENAMETOOLONG }
      if name == .dotDot { _ = names.popLast() } else if name != .dot { names.append(name) }
    }
    guard let last = names.popLast() else { throw .ENOENT }
    var here = root
    for name in names {
      here = try child(name, of: here)
      while let mounted = here.mounted { here = mounted }
    }
    let file = hostTree.makeFile(bytes, .installed(installed.count))
    installed.append(bytes)
    try put(Dentry(file, name: last, parent: here), in: here)
  }

  // MARK: Devices

  private static let consoleNumber = DeviceNumber(5, 1)

  private func populateDevices(_ point: Dentry) {
    let dev = mount(point, "devtmpfs", FileSystem.tmpfsMagic) {
      TmpfsDirectory($0, permissions: 0o755)
    }
    let fileSystem = dev.inode.fileSystem
    func add(_ name: Path, _ inode: Inode) {
      // A new directory without these names takes them.
      try? dev.inode.insert(Dentry(inode, name: name, parent: dev))
    }
    let devices: [(Path, UInt32, DeviceNumber)] = [
      ("null", 0o666, DeviceNumber(1, 3)), ("zero", 0o666, DeviceNumber(1, 5)),
      ("full", 0o666, DeviceNumber(1, 7)), ("random", 0o666, DeviceNumber(1, 8)),
      ("urandom", 0o666, DeviceNumber(1, 9)), ("tty", 0o666, DeviceNumber(5, 0)),
      ("console", 0o600, Self.consoleNumber),
    ]
    for (name, permissions, number) in devices {
      add(name, makeDevice(fileSystem, .character, permissions, number))
    }
    let links: [(Path, Path)] = [
      ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
      ("stderr", "/proc/self/fd/2"),
    ]
    for (name, target) in links { add(name, Symlink(fileSystem, target)) }
    add("shm", TmpfsDirectory(fileSystem, permissions: 0o1777))
  }

  /// A device file for a number; one that nobody drives can be made but not opened.
  func makeDevice(
    _ fileSystem: FileSystem, _ kind: FileKind, _ permissions: UInt32, _ number: DeviceNumber
  ) -> Inode {
    var driver: DeviceNode.Driver?
    if kind == .character {
      switch (number.major, number.minor) {
      case (1, 3): driver = .null
      case (1, 5): driver = .zero
      case (1, 7): driver = .full
      case (1, 8), (1, 9): driver = .random
      case (5, 0): driver = .terminal
      case (5, 1): driver = .console(stream: 1)
      default: break
      }
    }
    return DeviceNode(fileSystem, kind, permissions: permissions, number, driver, console)
  }

  /// Open files for descriptors 0, 1 and 2: the console, with each its own stream of the host.
  public func standardStreams() -> [OpenFile] {
    let context = makeContext()
    guard let node = try? resolve("/dev/console", context), let dev = node.parent else { return [] }
    return (0..<3).compactMap { stream in
      let inode = DeviceNode(
        dev.inode.fileSystem, .character, permissions: 0o600, Self.consoleNumber,
        .console(stream: stream), console, number: node.inode.number)
      // All three can be read and written, as a terminal's are.
      return try? OpenFile(
        Dentry(inode, name: node.name, parent: dev), [.readWrite, .largeFile])
    }
  }
}
