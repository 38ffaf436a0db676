/// An open file description (`struct file`). Descriptors that were duplicated or inherited share
/// one; so do mappings. When the last reference goes, the file is closed.
public final class OpenFile {
  /// Under which name it was opened.
  public let dentry: Dentry
  /// The file.
  public var inode: Inode { dentry.inode }
  /// `O_*`, without those that matter to `open` only.
  public internal(set) var flags: OpenFlags
  /// Position of the next `read` or `write`.
  public var offset: UInt64 = 0
  /// Bytes of one `read` or `write` at most (`MAX_RW_COUNT`).
  public static let transferLimit = 0x7fff_f000
  /// What a kind of file keeps for each opening.
  var state: AnyObject?
  private var deniesWrites = false
  private var isOpen = false

  /// Opens `dentry`'s inode without any check of permissions.
  public init(_ dentry: Dentry, _ flags: OpenFlags) throws(Errno) {
    self.dentry = dentry
    self.flags = flags
  }

  /// Whether it was opened for reading, and not with `O_PATH`.
  public var isReadable: Bool { flags.reads && !flags.contains(.path) }
  /// Whether it was opened for writing, and not with `O_PATH`.
  public var isWritable: Bool { flags.writes && !flags.contains(.path) }
  /// What `/proc/self/fd` and `/proc/self/maps` show: `(deleted)` behind a name that was removed.
  public var path: Path { "" }

  /// Reads from the position and moves it.
  ///
  /// - Throws: `EAGAIN` where a reader has to wait on ``readQueue``, whatever `O_NONBLOCK` says.
  public func read(_ count: Int) throws(Errno) -> [UInt8] { throw .ENOSYS }
  /// Writes at the position (or the end, with `O_APPEND`) and moves it. May write a part.
  ///
  /// - Throws: `EAGAIN` where a writer has to wait on ``writeQueue``, whatever `O_NONBLOCK` says;
  ///   `EPIPE` (the caller sends `SIGPIPE`).
  public func write(_ bytes: [UInt8]) throws(Errno) -> Int { throw .ENOSYS }
  /// `pread64`.
  public func pread(_ count: Int, at offset: Int64) throws(Errno) -> [UInt8] { throw .ENOSYS }
  /// `pwrite64`.
  public func pwrite(_ bytes: [UInt8], at offset: Int64) throws(Errno) -> Int { throw .ENOSYS }

  /// `read` (or, with `position`, `pread64`) straight into a program's memory, in bounded pieces.
  /// A fault after the first piece makes it short, as in Linux.
  public func read(
    _ count: UInt64, to memory: any UserMemory, _ va: UInt64, position: Int64? = nil
  ) throws(Errno) -> Int { throw .ENOSYS }
  /// `write` (or `pwrite64`) straight from a program's memory, in bounded pieces.
  public func write(
    _ count: UInt64, from memory: any UserMemory, _ va: UInt64, position: Int64? = nil
  ) throws(Errno) -> Int { throw .ENOSYS }

  /// `lseek`: whence 0 set, 1 current, 2 end, 3 data, 4 hole.
  public func seek(_ offset: Int64, _ whence: Int32) throws(Errno) -> Int64 { throw .ENOSYS }
  /// `getdents64`: whole records of at most `count` bytes, none at the end; moves the position.
  public func readDirectory(_ count: Int) throws(Errno) -> [UInt8] { throw .ENOSYS }
  /// `ioctl`. `FIOCLEX` and `FIONCLEX` are the descriptor table's: ``FileTable/ioctl(_:_:_:_:)``.
  public func ioctl(_ request: UInt32, _ argument: UInt64, _ memory: any UserMemory) throws(Errno)
    -> Int
  { throw .ENOSYS }
  /// What can be done now without waiting.
  public func poll() -> PollEvents { .always }
  /// Who waits to read.
  public var readQueue: WaitQueue? { nil }
  /// Who waits to write.
  public var writeQueue: WaitQueue? { nil }
  /// While a FIFO waits for its other side to be opened: where `open` waits. `nil`: go on.
  public var openQueue: WaitQueue? { nil }
  /// `ftruncate`.
  public func truncate(to size: Int64) throws(Errno) { throw .ENOSYS }
  /// `fallocate`.
  public func allocate(mode: Int32, _ offset: Int64, _ count: Int64) throws(Errno) { throw .ENOSYS }
  /// `fsync`, `fdatasync`.
  public func sync() throws(Errno) { throw .ENOSYS }
  /// `fcntl(F_SETFL)`.
  public func setStatusFlags(_ flags: OpenFlags) throws(Errno) { throw .ENOSYS }
  /// `fcntl(F_GETPIPE_SZ)`.
  public func pipeSize() throws(Errno) -> Int { throw .EBADF }
  /// `fcntl(F_SETPIPE_SZ)`: the size that it got.
  public func setPipeSize(_ size: UInt64) throws(Errno) -> Int { throw .EBADF }
  /// Forbids opening for writing as long as this open file lives: it is being executed.
  ///
  /// - Throws: `ETXTBSY` where somebody can write now.
  public func denyWrites() throws(Errno) { throw .ENOSYS }
}
