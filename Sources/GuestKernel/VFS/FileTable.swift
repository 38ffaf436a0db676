/// The descriptors of a process (`struct files_struct`).
public final class FileTable {
  /// `RLIMIT_NOFILE`: descriptors are below it.
  public var limit: UInt64 = 1024
  /// No limit is above it (`fs.nr_open`).
  public static let hardLimit: UInt64 = 1_048_576

  /// A table without descriptors.
  public init() {}

  /// The file of a descriptor, for use.
  ///
  /// - Throws: `EBADF` for a closed descriptor, or one opened with `O_PATH`.
  public subscript(fd: Int32) -> OpenFile { get throws(Errno) { throw .EBADF } }
  /// The file of a descriptor, `O_PATH` or not: `fstat`, `dup`, `close`, `fcntl`, `fchdir`, `dirfd`s.
  public func raw(_ fd: Int32) throws(Errno) -> OpenFile { throw .EBADF }
  /// The directory from which `path` is resolved: `nil` (the working directory, or none is needed) for
  /// `AT_FDCWD` and absolute paths.
  public func base(_ dirfd: Int32, _ path: Path) throws(Errno) -> Dentry? { nil }
  /// Open descriptors, ascending.
  public var descriptors: [Int32] { [] }

  /// Gives a file the lowest free descriptor that is at least `lowest`.
  ///
  /// - Throws: `EMFILE`; `EINVAL` where `lowest` is negative or at the limit (`F_DUPFD`).
  public func allocate(_ file: OpenFile, lowest: Int32 = 0, closeOnExec: Bool = false)
    throws(Errno) -> Int32
  { throw .EMFILE }
  /// Gives two files descriptors, or none: `pipe2`, `socketpair`.
  public func allocate(_ files: (OpenFile, OpenFile), closeOnExec: Bool) throws(Errno) -> (
    Int32, Int32
  ) { throw .EMFILE }
  /// `dup`, `fcntl(F_DUPFD…)`.
  public func duplicate(_ fd: Int32, lowest: Int32 = 0, closeOnExec: Bool = false) throws(Errno)
    -> Int32
  { throw .EMFILE }
  /// `dup2`.
  public func dup2(_ old: Int32, _ new: Int32) throws(Errno) -> Int32 { throw .EMFILE }
  /// `dup3`.
  public func dup3(_ old: Int32, _ new: Int32, flags: OpenFlags) throws(Errno) -> Int32 {
    throw .EMFILE
  }
  /// `close`.
  public func close(_ fd: Int32) throws(Errno) { throw .EBADF }
  /// `close_range`; flags: 4 `CLOSE_RANGE_CLOEXEC` (2, unshare, is the caller's).
  public func closeRange(_ first: UInt32, _ last: UInt32, flags: UInt32) throws(Errno) {
    throw .EBADF
  }
  /// Closes everything: the process ends.
  public func closeAll() {}
  /// Closes what has close-on-exec set.
  public func closeForExec() {}
  /// `fcntl(F_GETFD)`.
  public func closeOnExec(_ fd: Int32) throws(Errno) -> Bool { throw .EBADF }
  /// `fcntl(F_SETFD)`.
  public func setCloseOnExec(_ fd: Int32, _ value: Bool) throws(Errno) { throw .EBADF }
  /// `ioctl`.
  public func ioctl(_ fd: Int32, _ request: UInt32, _ argument: UInt64, _ memory: any UserMemory)
    throws(Errno) -> Int
  { throw .EBADF }
  /// A table of the same open files: `fork`.
  public func clone() -> FileTable { FileTable() }
}

/// Where a process is in the tree (`struct fs_struct`), and as whom.
public final class FileSystemContext {
  /// Where absolute paths begin.
  public internal(set) var root: Dentry
  /// Where relative paths begin.
  public internal(set) var cwd: Dentry
  /// Permissions that new files do not get.
  public var umask: UInt32 = 0o022
  /// As whom.
  public var credentials = Credentials()

  /// A context at the given places.
  public init(root: Dentry, cwd: Dentry) {
    self.root = root
    self.cwd = cwd
  }

  /// `fork` without `CLONE_FS`.
  public func clone() -> FileSystemContext {
    let copy = FileSystemContext(root: root, cwd: cwd)
    copy.umask = umask
    copy.credentials = credentials
    return copy
  }
}
