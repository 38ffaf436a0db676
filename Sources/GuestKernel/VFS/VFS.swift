/// How a path is walked.
public struct LookupFlags: OptionSet, Sendable {
  /// The bits.
  public let rawValue: UInt32
  /// Flags of the given bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// A symbolic link at the end is followed (not `AT_SYMLINK_NOFOLLOW`).
  public static let follow = LookupFlags(rawValue: 1)
  /// What is found must be a directory.
  public static let directory = LookupFlags(rawValue: 2)
  /// `AT_EMPTY_PATH`: an empty path is the base itself.
  public static let emptyPath = LookupFlags(rawValue: 4)
  /// `RESOLVE_NO_XDEV`.
  public static let noCrossing = LookupFlags(rawValue: 8)
  /// `RESOLVE_NO_MAGICLINKS`.
  public static let noMagicLinks = LookupFlags(rawValue: 16)
  /// `RESOLVE_NO_SYMLINKS`.
  public static let noSymlinks = LookupFlags(rawValue: 32)
  /// `RESOLVE_BENEATH`.
  public static let beneath = LookupFlags(rawValue: 64)
  /// `RESOLVE_IN_ROOT`.
  public static let inRoot = LookupFlags(rawValue: 128)
}

/// A file of the host that is shown to the guest without copying it first.
public struct HostBytes {
  /// Bytes.
  public var size: UInt64
  /// Permission bits.
  public var permissions: UInt32
  /// Nanoseconds since 1970.
  public var modified: UInt64
  /// Up to `count` bytes from an offset on; `nil` on a read error.
  public var read: (_ offset: UInt64, _ count: Int) -> [UInt8]?
  /// A file of the given parts.
  public init(
    size: UInt64, permissions: UInt32 = 0o755, modified: UInt64 = 0,
    read: @escaping (UInt64, Int) -> [UInt8]?
  ) {
    self.size = size
    self.permissions = permissions
    self.modified = modified
    self.read = read
  }
  /// A file of the given bytes.
  public init(_ bytes: [UInt8], permissions: UInt32 = 0o755, modified: UInt64 = 0) {
    self.init(size: UInt64(bytes.count), permissions: permissions, modified: modified) {
      offset, count in
      guard offset < UInt64(bytes.count) else { return [] }
      return Array(bytes[Int(offset)...].prefix(count))
    }
  }
}

/// The tree of files: mounts, paths, and the operations that take paths. In every one of them `base` is
/// where a relative path begins (see ``FileTable/base(_:_:)``), `nil` for the working directory.
public final class VFS {
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
  public let root: Dentry
  /// What `/proc` asks. Set once tasks exist.
  public weak var proc: (any ProcSource)?

  /// Makes the tree: `/` (empty, or the host's directory), `/dev`, `/proc`, `/sys`, `/tmp`.
  public init(
    frames: PageAllocator, host: any HostServices, options: Options = Options(),
    now: @escaping () -> UInt64
  ) {
    let fs = FileSystem(
      device: DeviceNumber(0, 1), typeName: "tmpfs", magic: 0x0102_1994, frames: frames, now: now)
    root = Dentry(Inode(fs, FileMode(.directory, 0o755)), name: "/", parent: nil, isRoot: true)
  }

  /// A context at the root, for the first process.
  public func makeContext() -> FileSystemContext { FileSystemContext(root: root, cwd: root) }
  /// Open files for descriptors 0, 1 and 2.
  public func standardStreams() -> [OpenFile] { [] }
  /// Input may have come for the console: wakes its readers.
  public func consoleInputArrived() {}
  /// Puts a program into the tree at an absolute or root-relative path, whatever the tree has there;
  /// makes the directories on the way.
  public func installProgram(_ path: Path, _ bytes: HostBytes) throws(Errno) { throw .ENOSYS }
  /// Drops clean pages that nobody maps. The memory room calls it when frames run out.
  ///
  /// - Returns: how many frames came free.
  public func reclaim() -> Int { 0 }

  // MARK: Paths

  /// What a path names.
  public func resolve(
    _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil,
    flags: LookupFlags = .follow
  ) throws(Errno) -> Dentry { throw .ENOSYS }
  /// The path of a dentry as seen from a context's root, with ` (deleted)` behind a removed one.
  public func path(of dentry: Dentry, _ context: FileSystemContext? = nil) -> Path { "" }
  /// `getcwd`: `ENOENT` where the directory was removed.
  public func currentDirectory(_ context: FileSystemContext) throws(Errno) -> Path { throw .ENOSYS }
  /// `chdir`.
  public func changeDirectory(_ path: Path, _ context: FileSystemContext) throws(Errno) {
    throw .ENOSYS
  }
  /// `fchdir`.
  public func changeDirectory(to file: OpenFile, _ context: FileSystemContext) throws(Errno) {
    throw .ENOSYS
  }
  /// `chroot`.
  public func changeRoot(_ path: Path, _ context: FileSystemContext) throws(Errno) { throw .ENOSYS }
  /// `readlinkat`; with an empty path the link `base` itself.
  public func readlink(_ path: Path, _ context: FileSystemContext, from base: Dentry? = nil)
    throws(Errno) -> Path
  { throw .ENOSYS }
  /// `faccessat2`: mode 4 read, 2 write, 1 execute, 0 existence.
  public func access(
    _ path: Path, mode: UInt32, _ context: FileSystemContext, from base: Dentry? = nil,
    flags: LookupFlags = .follow
  ) throws(Errno) { throw .ENOSYS }

  // MARK: Opening

  /// `openat`. A FIFO may have to wait for its other side: see ``OpenFile/openQueue``.
  public func open(
    _ path: Path, _ flags: OpenFlags, mode: UInt32 = 0, _ context: FileSystemContext,
    from base: Dentry? = nil, lookup: LookupFlags = []
  ) throws(Errno) -> OpenFile { throw .ENOSYS }
  /// Opens a file to execute it: a regular file with an `x` bit (`EACCES`) that nobody writes (`ETXTBSY`);
  /// writers are kept off as long as the open file lives.
  public func openExecutable(
    _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil,
    flags: LookupFlags = .follow
  ) throws(Errno) -> OpenFile { throw .ENOSYS }
  /// `pipe2`: the reading and the writing end. Flags: `O_NONBLOCK`, `O_DIRECT` (`EINVAL`: no packets).
  public func makePipe(_ flags: OpenFlags = []) throws(Errno) -> (OpenFile, OpenFile) {
    throw .ENOSYS
  }
  /// `socketpair(AF_UNIX, SOCK_STREAM)`.
  public func makeSocketPair(_ flags: OpenFlags = []) throws(Errno) -> (OpenFile, OpenFile) {
    throw .ENOSYS
  }
  /// `eventfd2`.
  public func makeEvent(_ initial: UInt32, semaphore: Bool, _ flags: OpenFlags = []) throws(Errno)
    -> OpenFile
  { throw .ENOSYS }
  /// `memfd_create`: the name without its prefix.
  public func makeMemoryFile(_ name: Path) throws(Errno) -> OpenFile { throw .ENOSYS }
  /// An unlinked file of zero bytes for a shared anonymous mapping.
  public static func makeSharedMemory(_ size: UInt64, _ frames: PageAllocator) throws(Errno)
    -> OpenFile
  { throw .ENOSYS }

  // MARK: Changing the tree

  /// `mkdirat`.
  public func makeDirectory(
    _ path: Path, mode: UInt32, _ context: FileSystemContext, from base: Dentry? = nil
  ) throws(Errno) { throw .ENOSYS }
  /// `mknodat`: regular files (also for kind 0), FIFOs, sockets, devices.
  public func makeNode(
    _ path: Path, mode: UInt32, device: UInt64, _ context: FileSystemContext,
    from base: Dentry? = nil
  ) throws(Errno) { throw .ENOSYS }
  /// `symlinkat`.
  public func makeSymlink(
    _ target: Path, _ path: Path, _ context: FileSystemContext, from base: Dentry? = nil
  ) throws(Errno) { throw .ENOSYS }
  /// `linkat`; `flags`: ``LookupFlags/follow`` for `AT_SYMLINK_FOLLOW`, ``LookupFlags/emptyPath``.
  public func link(
    _ old: Path, from oldBase: Dentry? = nil, to new: Path, from newBase: Dentry? = nil,
    flags: LookupFlags = [], _ context: FileSystemContext
  ) throws(Errno) { throw .ENOSYS }
  /// `unlinkat` without `AT_REMOVEDIR`.
  public func unlink(_ path: Path, _ context: FileSystemContext, from base: Dentry? = nil)
    throws(Errno)
  { throw .ENOSYS }
  /// `unlinkat` with `AT_REMOVEDIR`.
  public func removeDirectory(_ path: Path, _ context: FileSystemContext, from base: Dentry? = nil)
    throws(Errno)
  { throw .ENOSYS }
  /// `renameat2`; flags: 1 `RENAME_NOREPLACE`, 2 `RENAME_EXCHANGE`.
  public func rename(
    _ old: Path, from oldBase: Dentry? = nil, to new: Path, from newBase: Dentry? = nil,
    flags: UInt32 = 0, _ context: FileSystemContext
  ) throws(Errno) { throw .ENOSYS }
  /// `truncate`.
  public func truncate(_ path: Path, to size: Int64, _ context: FileSystemContext) throws(Errno) {
    throw .ENOSYS
  }
  /// `chmod`, `fchmod` on what was resolved.
  public func setMode(_ dentry: Dentry, _ mode: UInt32, _ context: FileSystemContext) throws(Errno) {
    throw .ENOSYS
  }
  /// `chown`; `UInt32.max` keeps an id.
  public func setOwner(_ dentry: Dentry, uid: UInt32, gid: UInt32, _ context: FileSystemContext)
    throws(Errno)
  { throw .ENOSYS }
  /// `utimensat`.
  public func setTimes(
    _ dentry: Dentry, accessed: FileTime, modified: FileTime, _ context: FileSystemContext
  ) throws(Errno) { throw .ENOSYS }
  /// `statfs` of what was resolved.
  public func statistics(_ dentry: Dentry) -> FileSystemStatistics {
    FileSystemStatistics(
      magic: 0, blockSize: 4096, blocks: 0, freeBlocks: 0, files: 0, freeFiles: 0, identifier: 0,
      nameLimit: 255, flags: 0)
  }
}
