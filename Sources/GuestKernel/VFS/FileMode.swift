/// `st_mode`: the kind of a file and its permissions.
public struct FileMode: OptionSet, Hashable, Sendable {
  /// `S_IFMT | 07777` bits as Linux has them.
  public var rawValue: UInt32
  /// A mode of the given bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// A mode of a kind and permissions; bits of `permissions` beyond 07777 are dropped.
  public init(_ kind: FileKind, _ permissions: UInt32) {
    rawValue = kind.rawValue | permissions & 0o7777
  }

  /// The kind, `.regular` where the bits name none.
  public var kind: FileKind { FileKind(rawValue: rawValue & FileKind.mask) ?? .regular }
  /// The low 12 bits.
  public var permissions: UInt32 {
    get { rawValue & 0o7777 }
    set { rawValue = rawValue & ~0o7777 | newValue & 0o7777 }
  }

  /// `S_ISUID`.
  public static let setUser = FileMode(rawValue: 0o4000)
  /// `S_ISGID`.
  public static let setGroup = FileMode(rawValue: 0o2000)
  /// `S_ISVTX`.
  public static let sticky = FileMode(rawValue: 0o1000)
}

/// `S_IFMT`: what a file is.
public enum FileKind: UInt32, Sendable, CaseIterable {
  /// `S_IFIFO`: a pipe.
  case fifo = 0o010000
  /// `S_IFCHR`: a character device.
  case character = 0o020000
  /// `S_IFDIR`.
  case directory = 0o040000
  /// `S_IFBLK`: a block device.
  case block = 0o060000
  /// `S_IFREG`: a file of bytes.
  case regular = 0o100000
  /// `S_IFLNK`: a symbolic link.
  case symlink = 0o120000
  /// `S_IFSOCK`.
  case socket = 0o140000

  /// `S_IFMT`.
  public static let mask: UInt32 = 0o170000
  /// `d_type` of a directory entry.
  public var directoryType: UInt8 { UInt8(truncatingIfNeeded: rawValue >> 12) }
}

/// `O_*`: how a file is opened.
///
/// The numbers are asm-generic's, which x86, RISC-V and LoongArch use. AArch64 swaps `O_DIRECTORY`,
/// `O_NOFOLLOW`, `O_DIRECT` and `O_LARGEFILE`; its system-call layer translates.
///
/// - SeeAlso: Linux, `include/uapi/asm-generic/fcntl.h`.
public struct OpenFlags: OptionSet, Hashable, Sendable {
  /// The bits as the guest passes them.
  public var rawValue: Int32
  /// Flags of the given bits.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// `O_ACCMODE`.
  public static let accessMode = OpenFlags(rawValue: 0o3)
  /// `O_RDONLY`: no bits.
  public static let readOnly: OpenFlags = []
  /// `O_WRONLY`.
  public static let writeOnly = OpenFlags(rawValue: 0o1)
  /// `O_RDWR`.
  public static let readWrite = OpenFlags(rawValue: 0o2)
  /// `O_CREAT`.
  public static let create = OpenFlags(rawValue: 0o100)
  /// `O_EXCL`.
  public static let exclusive = OpenFlags(rawValue: 0o200)
  /// `O_NOCTTY`.
  public static let noControllingTerminal = OpenFlags(rawValue: 0o400)
  /// `O_TRUNC`.
  public static let truncate = OpenFlags(rawValue: 0o1000)
  /// `O_APPEND`.
  public static let append = OpenFlags(rawValue: 0o2000)
  /// `O_NONBLOCK`.
  public static let nonBlock = OpenFlags(rawValue: 0o4000)
  /// `O_DSYNC`.
  public static let dataSync = OpenFlags(rawValue: 0o10000)
  /// `FASYNC`.
  public static let async = OpenFlags(rawValue: 0o20000)
  /// `O_DIRECT`.
  public static let direct = OpenFlags(rawValue: 0o40000)
  /// `O_LARGEFILE`.
  public static let largeFile = OpenFlags(rawValue: 0o100000)
  /// `O_DIRECTORY`.
  public static let directory = OpenFlags(rawValue: 0o200000)
  /// `O_NOFOLLOW`.
  public static let noFollow = OpenFlags(rawValue: 0o400000)
  /// `O_NOATIME`.
  public static let noAccessTime = OpenFlags(rawValue: 0o1000000)
  /// `O_CLOEXEC`.
  public static let closeOnExec = OpenFlags(rawValue: 0o2000000)
  /// `O_SYNC` (with `O_DSYNC`).
  public static let sync = OpenFlags(rawValue: 0o4010000)
  /// `O_PATH`.
  public static let path = OpenFlags(rawValue: 0o10000000)
  /// `__O_TMPFILE` without `O_DIRECTORY`.
  public static let temporary = OpenFlags(rawValue: 0o20000000)

  /// What `fcntl(F_SETFL)` may change.
  public static let settable: OpenFlags = [.append, .nonBlock, .direct, .noAccessTime, .async]
  /// All bits that `open` knows; `openat2` refuses others.
  public static let valid: OpenFlags = [
    .accessMode, .create, .exclusive, .noControllingTerminal, .truncate, .append, .nonBlock,
    .dataSync, .async, .direct, .largeFile, .directory, .noFollow, .noAccessTime, .closeOnExec,
    .sync, .path, .temporary,
  ]

  /// Whether reading is asked for.
  public var reads: Bool { rawValue & 3 == 0 || rawValue & 3 == 2 }
  /// Whether writing is asked for.
  public var writes: Bool { rawValue & 3 == 1 || rawValue & 3 == 2 }
}
