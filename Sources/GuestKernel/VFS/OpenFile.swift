import Engine

/// An open file description (`struct file`).
///
/// Descriptors that were duplicated or inherited share one; so do mappings. When the last reference
/// goes, the file is closed.
public final class OpenFile: Archivable {
  /// Under which name it was opened.
  public private(set) var dentry: Dentry
  /// The file.
  public var inode: Inode { dentry.inode }
  /// `O_*`, without those that matter to `open` only.
  public internal(set) var flags: OpenFlags
  /// Position of the next `read` or `write`.
  public var offset: UInt64 = 0
  /// Bytes of one `read` or `write` at most (`MAX_RW_COUNT`).
  public static let transferLimit: UInt64 = 0x7fff_f000
  /// Bytes that one call reads at most into the host; the callers for user memory go on.
  static let pieceLimit = 1 << 24
  /// What a kind of file keeps for each opening.
  var state: AnyObject?
  private var deniesWrites = false
  private var countsAsWriter = false
  private var isOpen = false

  /// Opens `dentry`'s inode without any check of permissions.
  ///
  /// - Throws: `ETXTBSY` where it is being executed, and what a device or FIFO has to say.
  public init(_ dentry: Dentry, _ flags: OpenFlags) throws(Errno) {
    self.dentry = dentry
    self.flags = flags.subtracting([
      .create, .exclusive, .noControllingTerminal, .truncate, .closeOnExec,
    ])
    guard !flags.contains(.path) else { return }
    if flags.writes, dentry.inode.kind == .regular {
      guard dentry.inode.writeDenials == 0 else { throw .ETXTBSY }
      dentry.inode.writers += 1
      countsAsWriter = true
    }
    try dentry.inode.open(self)
    isOpen = true
  }

  package init(placeholderFor a: Archive) {
    dentry = a.placeholder(Dentry.self)
    flags = []
  }

  package func archive(_ a: Archive) {
    a.ref("dentry", &dentry)
    a("flags", &flags)
    a("offset", &offset)
    a.any("state", &state)
    a("deniesWrites", &deniesWrites)
    a("countsAsWriter", &countsAsWriter)
    a("isOpen", &isOpen)
  }

  deinit {
    let inode = dentry.inode
    // The state that it belonged to is no more.
    if inode.fileSystem.frames.isInert { return }
    if countsAsWriter { inode.writers -= 1 }
    if deniesWrites { inode.writeDenials -= 1 }
    inode.locks.releaseFlock(self)
    if isOpen { inode.closed(flags) }
  }

  /// Whether it was opened for reading, and not with `O_PATH`.
  public var isReadable: Bool { flags.reads && !flags.contains(.path) }
  /// Whether it was opened for writing, and not with `O_PATH`.
  public var isWritable: Bool { flags.writes && !flags.contains(.path) }
  /// What `/proc/self/fd` and `/proc/self/maps` show: `(deleted)` behind a name that was removed.
  public var path: Path { dentry.path(below: nil) }

  private func checkReadable() throws(Errno) {
    guard isReadable else { throw .EBADF }
    guard !inode.isDirectory else { throw .EISDIR }
  }

  /// Reads from the position and moves it.
  ///
  /// - Throws: `EAGAIN` where a reader has to wait on ``readQueue``, whatever `O_NONBLOCK` says.
  public func read(_ count: Int) throws(Errno) -> [UInt8] {
    try checkReadable()
    guard count >= 0 else { throw .EINVAL }
    let bytes = try inode.read(at: offset, min(count, Int(Self.transferLimit)), self)
    if inode.hasPosition { offset &+= UInt64(bytes.count) }
    if !flags.contains(.noAccessTime) { inode.noteAccess() }
    return bytes
  }

  /// Writes at the position (or the end, with `O_APPEND`) and moves it.
  ///
  /// May write a part.
  ///
  /// - Throws: `EAGAIN` where a writer has to wait on ``writeQueue``, whatever `O_NONBLOCK` says;
  ///   `EPIPE` (the caller sends `SIGPIPE`).
  public func write(_ bytes: [UInt8]) throws(Errno) -> Int {
    guard isWritable else { throw .EBADF }
    guard inode.hasPosition else { return try inode.write(at: 0, bytes, self) }
    let start = flags.contains(.append) ? inode.size : offset
    let done = try inode.write(at: start, bytes, self)
    offset = start &+ UInt64(max(done, 0))
    return done
  }

  private func checkPosition(_ offset: Int64) throws(Errno) {
    guard offset >= 0 else { throw .EINVAL }
    guard !flags.contains(.path) else { throw .EBADF }
    guard inode.isSeekable || inode.isDirectory else { throw .ESPIPE }
  }

  /// `pread64`.
  public func pread(_ count: Int, at offset: Int64) throws(Errno) -> [UInt8] {
    try checkPosition(offset)
    try checkReadable()
    guard count >= 0 else { throw .EINVAL }
    let limit = min(count, Int(Self.transferLimit))
    let bytes = try inode.read(at: UInt64(offset), limit, self)
    if !flags.contains(.noAccessTime) { inode.noteAccess() }
    return bytes
  }

  /// `pwrite64`.
  ///
  /// With `O_APPEND` it appends, as Linux does.
  public func pwrite(_ bytes: [UInt8], at offset: Int64) throws(Errno) -> Int {
    try checkPosition(offset)
    guard isWritable else { throw .EBADF }
    let start = flags.contains(.append) && inode.hasPosition ? inode.size : UInt64(offset)
    return try inode.write(at: start, bytes, self)
  }

  /// `lseek`: whence 0 set, 1 current, 2 end, 3 data, 4 hole.
  public func seek(_ offset: Int64, _ whence: Int32) throws(Errno) -> Int64 {
    guard !flags.contains(.path) else { throw .EBADF }
    guard (0...4).contains(whence) else { throw .EINVAL }
    guard inode.isSeekable || inode.isDirectory else { throw .ESPIPE }
    guard inode.hasPosition || inode.isDirectory else { return 0 }
    let base: UInt64
    switch whence {
    case 0: base = 0
    case 1: base = self.offset
    case 2 where !inode.isDirectory: base = inode.size
    case 3, 4:
      guard !inode.isDirectory else { throw .EINVAL }
      guard offset >= 0, UInt64(offset) < inode.size,
        let found = inode.seekData(UInt64(offset), hole: whence == 4)
      else { throw .ENXIO }
      self.offset = found
      return Int64(clamping: found)
    default: throw .EINVAL
    }
    let (sum, overflow) = Int64(clamping: base).addingReportingOverflow(offset)
    guard !overflow else { throw .EOVERFLOW }
    guard sum >= 0 else { throw .EINVAL }
    self.offset = UInt64(sum)
    return sum
  }

  /// `ioctl`.
  ///
  /// `FIOCLEX` and `FIONCLEX` are the descriptor table's: ``FileTable/ioctl(_:_:_:_:)``.
  public func ioctl(
    _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory
  ) throws(Errno)
    -> Int
  {
    guard !flags.contains(.path) else { throw .EBADF }
    switch request {
    case IOControl.nonBlocking:
      let on = try memory.read(argument, 4).contains { $0 != 0 }
      if on { flags.insert(.nonBlock) } else { flags.remove(.nonBlock) }
    case IOControl.asynchronous: _ = try memory.read(argument, 4)
    case IOControl.bytesToRead where inode.kind == .regular && inode.isSeekable:
      let left = inode.size > offset ? inode.size &- offset : 0
      try memory.write(argument, littleEndian(Int32(truncatingIfNeeded: left)))
    case IOControl.blockSize where inode.kind == .regular || inode.isDirectory:
      try memory.write(argument, littleEndian(Int32(4096)))
    case IOControl.fileSize where inode.kind == .regular || inode.isDirectory:
      try memory.write(argument, littleEndian(inode.size))
    default: return try inode.ioctl(request, argument, memory, self)
    }
    return 0
  }

  /// What can be done now without waiting.
  public func poll() -> PollEvents {
    flags.contains(.path) ? .invalid : inode.poll(self)
  }
  /// Who waits to read.
  public var readQueue: WaitQueue? { inode.readQueue(self) }
  /// Who waits to write.
  public var writeQueue: WaitQueue? { inode.writeQueue(self) }
  /// While a FIFO waits for its other side to be opened: where `open` waits.
  ///
  /// `nil`: go on.
  public var openQueue: WaitQueue? { inode.openQueue(self) }

  /// `ftruncate`.
  public func truncate(to size: Int64) throws(Errno) {
    guard size >= 0 else { throw .EINVAL }
    guard !flags.contains(.path) else { throw .EBADF }
    guard inode.kind == .regular, isWritable else { throw .EINVAL }
    try inode.truncate(to: UInt64(size))
  }

  /// `fallocate`.
  public func allocate(mode: Int32, _ offset: Int64, _ count: Int64) throws(Errno) {
    guard !flags.contains(.path) else { throw .EBADF }
    guard offset >= 0, count > 0 else { throw .EINVAL }
    guard isWritable else { throw .EBADF }
    switch inode.kind {
    case .regular: break
    case .fifo: throw .ESPIPE
    case .directory: throw .EISDIR
    default: throw .ENODEV
    }
    guard !offset.addingReportingOverflow(count).overflow else { throw .EFBIG }
    try inode.allocate(mode: mode, UInt64(offset), UInt64(count))
  }

  /// `fsync`, `fdatasync`.
  public func sync() throws(Errno) {
    guard !flags.contains(.path) else { throw .EBADF }
    guard inode.kind == .regular && inode.isSeekable || inode.isDirectory else { throw .EINVAL }
  }

  /// `fcntl(F_SETFL)`.
  public func setStatusFlags(_ new: OpenFlags) throws(Errno) {
    guard !flags.contains(.path) else { throw .EBADF }
    flags = flags.subtracting(.settable).union(new.intersection(.settable))
  }

  /// `fcntl(F_GETPIPE_SZ)`.
  public func pipeSize() throws(Errno) -> Int {
    guard !flags.contains(.path), let pipe = inode as? Pipe else { throw .EBADF }
    return pipe.byteCapacity
  }

  /// `fcntl(F_SETPIPE_SZ)`: the size that it got.
  public func setPipeSize(_ size: UInt64) throws(Errno) -> Int {
    guard !flags.contains(.path), let pipe = inode as? Pipe else { throw .EBADF }
    return try pipe.resize(size)
  }

  /// `shutdown` of a socket.
  public func shutdown(_ how: Int32) throws(Errno) {
    guard !flags.contains(.path) else { throw .EBADF }
    guard let end = inode as? SocketEnd else { throw .ENOTSOCK }
    try end.shutdown(how)
  }

  /// Whether it is a socket.
  public var isSocket: Bool { inode is SocketEnd }

  /// Forbids opening for writing as long as this open file lives: it is being executed.
  ///
  /// - Throws: `ETXTBSY` where somebody can write now.
  public func denyWrites() throws(Errno) {
    guard !deniesWrites else { return }
    guard inode.writers == 0 else { throw .ETXTBSY }
    inode.writeDenials += 1
    deniesWrites = true
  }
}
