import Engine

/// The tree of files: mounts, paths, and the operations that take paths.
///
/// In every one of them `base` is where a relative path begins (see ``FileTable/base(_:_:)``),
/// `nil` for the working directory.
public final class VFS: Archivable {
  /// What the tree is made of.
  public struct Options: Sendable {
    /// Whether `/` is the host directory given to the run, read-only.
    public var hostRoot = false
    /// For streams 0, 1 and 2: whether the host's is a terminal.
    public var terminals: [Bool] = [false, false, false]
    /// Columns and rows of the terminal.
    public var columns: UInt16 = 80, rows: UInt16 = 24
    /// The usual tree.
    public init() {}
  }

  /// The root of all.
  public private(set) var root: Dentry
  /// What `/proc` asks.
  ///
  /// Set once tasks exist.
  public weak var proc: (any ProcSource)?
  /// For inodes of other rooms that have no name in the tree: `epoll`, `timerfd` and so on.
  public private(set) var anonymousFiles: FileSystem

  private(set) var frames: PageAllocator
  let options: Options
  let now: () -> UInt64
  private(set) var console: Console
  private(set) var hostTree: HostTree
  private var pipes: FileSystem
  private var sockets: FileSystem
  private(set) var hidden: FileSystem
  weak var host: (any HostServices)?
  private(set) var mounts: [(point: Dentry?, root: Dentry)] = []
  private var nextMinor: UInt32 = 20
  /// The programs that the machine put into the tree, in their order.
  var installed: [HostBytes] = []

  /// Makes the tree: `/` (empty, or the host's directory), `/dev`, `/proc`, `/sys`, `/tmp`.
  public init(
    frames: PageAllocator, host: any HostServices, options: Options = Options(),
    now: @escaping () -> UInt64
  ) {
    self.frames = frames
    self.host = host
    self.options = options
    self.now = now
    console = Console(host, options)
    func make(
      _ minor: UInt32, _ type: String, _ magic: UInt64, readOnly: Bool = false
    )
      -> FileSystem
    {
      FileSystem(
        device: DeviceNumber(0, minor), typeName: type, magic: magic, isReadOnly: readOnly,
        frames: frames, now: now)
    }
    anonymousFiles = make(11, "anon_inodefs", FileSystem.anonymousMagic)
    pipes = make(12, "pipefs", FileSystem.pipeMagic)
    sockets = make(13, "sockfs", FileSystem.socketMagic)
    hidden = make(14, "tmpfs", FileSystem.tmpfsMagic)
    hostTree = HostTree(make(15, "hostfs", FileSystem.hostMagic, readOnly: true), host)
    let top: Inode =
      options.hostRoot
      ? HostDirectory(hostTree, path: "/", host.hostStat("/"))
      : TmpfsDirectory(make(16, "tmpfs", FileSystem.tmpfsMagic), permissions: 0o755)
    root = Dentry(top, name: "/", parent: nil, isRoot: true)
    mounts.append((nil, root))
    for fileSystem in [hidden, top.fileSystem, hostTree.fileSystem] {
      fileSystem.reclaimer = hostTree
    }
    console.vfs = self
    populate()
  }

  /// Settings and programs are those of the machine.
  package init(placeholderFor a: Archive) {
    let machine = a.kernel.vfs
    frames = a.placeholder(PageAllocator.self)
    host = machine.host
    options = machine.options
    now = machine.now
    installed = machine.installed
    console = a.placeholder(Console.self)
    hostTree = a.placeholder(HostTree.self)
    anonymousFiles = a.placeholder(FileSystem.self)
    (pipes, sockets, hidden) = (anonymousFiles, anonymousFiles, anonymousFiles)
    root = a.placeholder(Dentry.self)
  }

  package func archive(_ a: Archive) {
    a.ref("root", &root)
    a.ref("anonymousFiles", &anonymousFiles)
    a.ref("frames", &frames)
    a.ref("console", &console)
    a.ref("hostTree", &hostTree)
    a.ref("pipes", &pipes)
    a.ref("sockets", &sockets)
    a.ref("hidden", &hidden)
    a.parts("mounts") {
      var number = mounts.count
      a.number(&number)
      if a.isReading { mounts = Array(repeating: (nil, root), count: number) }
      for index in mounts.indices {
        a.ref("point", &mounts[index].point)
        a.ref("root", &mounts[index].root)
      }
    }
    a("nextMinor", &nextMinor)
    var hasProc = proc != nil
    a("", &hasProc)
    if a.isReading { proc = hasProc ? a.kernel.proc : nil }
    a.transient(["proc", "options", "now", "host", "installed"])
  }

  deinit {
    // Names and directories refer to each other: take them apart, one by one.
    var rest = mounts.map(\.root)
    while let dentry = rest.popLast() {
      rest += dentry.inode.takeChildren()
      dentry.parent = nil
      dentry.mounted = nil
    }
  }

  /// A context at the root, for the first process.
  public func makeContext() -> FileSystemContext { FileSystemContext(root: root, cwd: root) }

  /// Input may have come for the console: wakes its readers.
  public func consoleInputArrived() { console.queue.wakeAll() }

  /// Drops clean pages that nobody maps.
  ///
  /// The memory room calls it when frames run out.
  ///
  /// - Returns: how many frames came free.
  public func reclaim() -> Int { hostTree.reclaim() }

  /// Mounts a new tmpfs or another file system at a dentry.
  func mount(
    _ point: Dentry, _ type: String, _ magic: UInt64, readOnly: Bool = false,
    _ makeRoot: (FileSystem) -> Inode
  ) -> Dentry {
    let fileSystem = FileSystem(
      device: DeviceNumber(0, nextMinor), typeName: type, magic: magic, isReadOnly: readOnly,
      frames: frames, now: now)
    nextMinor &+= 1
    fileSystem.reclaimer = hidden.reclaimer
    let top = Dentry(makeRoot(fileSystem), name: "/", parent: nil, isRoot: true)
    top.covered = point
    point.mounted = top
    mounts.append((point, top))
    return top
  }

  // MARK: Nameless files

  /// An open file without a name in the tree: `anon_inode:[…]`.
  ///
  /// For inodes of other rooms.
  func makeAnonymous(_ inode: Inode, name: Path, _ flags: OpenFlags) throws(Errno) -> OpenFile {
    try OpenFile(Dentry(inode, name: name, parent: nil), flags)
  }

  /// `pipe2`: the reading and the writing end.
  ///
  /// Flags: `O_NONBLOCK`, `O_CLOEXEC`; not `O_DIRECT` (`EINVAL`: no packets).
  public func makePipe(_ flags: OpenFlags = []) throws(Errno) -> (OpenFile, OpenFile) {
    guard flags.subtracting([.nonBlock, .closeOnExec]).isEmpty else { throw .EINVAL }
    let pipe = Pipe(pipes, permissions: 0o600, isNamed: false)
    let dentry = Dentry(pipe, name: Path("pipe:[\(pipe.number)]"), parent: nil)
    let status = flags.intersection(.nonBlock)
    return (try OpenFile(dentry, status), try OpenFile(dentry, status.union(.writeOnly)))
  }

  /// `socketpair(AF_UNIX, SOCK_STREAM)`.
  public func makeSocketPair(_ flags: OpenFlags = []) throws(Errno) -> (OpenFile, OpenFile) {
    guard flags.subtracting([.nonBlock, .closeOnExec]).isEmpty else { throw .EINVAL }
    let ends = (SocketEnd(sockets), SocketEnd(sockets))
    SocketEnd.connect(ends.0, ends.1)
    let status = flags.intersection(.nonBlock).union(.readWrite)
    return (
      try makeAnonymous(ends.0, name: Path("socket:[\(ends.0.number)]"), status),
      try makeAnonymous(ends.1, name: Path("socket:[\(ends.1.number)]"), status)
    )
  }

  /// `eventfd2`.
  public func makeEvent(
    _ initial: UInt32, semaphore: Bool, _ flags: OpenFlags = []
  ) throws(Errno)
    -> OpenFile
  {
    guard flags.subtracting([.nonBlock, .closeOnExec]).isEmpty else { throw .EINVAL }
    return try makeAnonymous(
      EventCounter(anonymousFiles, UInt64(initial), isSemaphore: semaphore),
      name: "anon_inode:[eventfd]", flags.intersection(.nonBlock).union(.readWrite))
  }

  /// `memfd_create`: the name without its prefix.
  public func makeMemoryFile(_ name: Path) throws(Errno) -> OpenFile {
    guard name.bytes.count <= 249 else { throw .EINVAL }
    let file = TmpfsFile(hidden, FileMode(.regular, 0o777))
    return try Self.unlinked(file, Path(Array("/memfd:".utf8) + name.bytes))
  }

  private static func unlinked(_ file: TmpfsFile, _ name: Path) throws(Errno) -> OpenFile {
    file.links = 0
    let dentry = Dentry(file, name: name, parent: nil)
    dentry.isUnlinked = true
    return try OpenFile(dentry, [.readWrite, .largeFile])
  }

  /// An unlinked file of zero bytes for a shared anonymous mapping.
  public static func makeSharedMemory(
    _ size: UInt64, _ frames: PageAllocator
  ) throws(Errno)
    -> OpenFile
  {
    let fileSystem = FileSystem(
      device: DeviceNumber(0, 1), typeName: "tmpfs", magic: FileSystem.tmpfsMagic, frames: frames,
      now: nil)
    let file = TmpfsFile(fileSystem, FileMode(.regular, 0o777))
    try file.truncate(to: size)
    return try unlinked(file, "/dev/zero")
  }
}
