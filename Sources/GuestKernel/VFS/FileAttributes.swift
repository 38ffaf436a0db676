import Engine

/// What `stat` and `statx` tell of a file.
///
/// The system-call layer encodes it.
public struct FileAttributes: Sendable, Equatable {
  /// The device that the file is on.
  public var device: DeviceNumber
  /// Inode number.
  public var inode: UInt64
  /// Kind and permissions.
  public var mode: FileMode
  /// Number of hard links.
  public var links: UInt32
  /// Owner.
  public var uid: UInt32
  /// Group.
  public var gid: UInt32
  /// The device that the file is, for device files.
  public var representedDevice: DeviceNumber
  /// Bytes.
  public var size: UInt64
  /// `st_blksize`.
  public var blockSize: UInt32
  /// `st_blocks`: units of 512 bytes in use.
  public var blocks: UInt64
  /// Times of last access, change of data, change of the inode and birth: nanoseconds since 1970,
  /// negative before.
  public var accessed, modified, changed, created: Int64
}

/// A device number.
public struct DeviceNumber: Hashable, Sendable {
  /// Which driver.
  public var major: UInt32
  /// Which of its devices.
  public var minor: UInt32
  /// A number of the two parts.
  public init(_ major: UInt32, _ minor: UInt32) {
    self.major = major
    self.minor = minor
  }
  /// A number from `dev_t` as system calls have it.
  public init(encoded: UInt64) {
    major = UInt32(truncatingIfNeeded: encoded >> 8 & 0xfff)
    minor = UInt32(truncatingIfNeeded: encoded & 0xff | encoded >> 12 & 0xfff00)
  }
  /// `dev_t` as system calls have it.
  ///
  /// - SeeAlso: Linux, `include/linux/kdev_t.h`, `new_encode_dev`.
  public var encoded: UInt64 {
    UInt64(minor & 0xff) | UInt64(major & 0xfff) << 8 | UInt64(minor & 0xfff00) << 12
  }
}

/// What `statfs` tells of a file system.
public struct FileSystemStatistics: Sendable, Equatable {
  /// `f_type`.
  public var magic: UInt64
  /// `f_bsize` and `f_frsize`.
  public var blockSize: UInt64
  /// Blocks: all, and free.
  public var blocks, freeBlocks: UInt64
  /// Inodes: all, and free.
  public var files, freeFiles: UInt64
  /// `f_fsid`.
  public var identifier: UInt64
  /// `f_namelen`.
  public var nameLimit: UInt64
  /// `f_flags`: `ST_RDONLY` is 1, `ST_VALID` 0x20, `ST_RELATIME` 0x1000.
  public var flags: UInt64
}

/// One time of `utimensat`.
public enum FileTime: Sendable, Equatable {
  /// `UTIME_NOW`.
  case now
  /// `UTIME_OMIT`.
  case omit
  /// Nanoseconds since 1970.
  case at(Int64)
}

/// Which events a descriptor has, or is asked for: the bits of `struct pollfd`.
public struct PollEvents: OptionSet, Hashable, Sendable {
  /// `POLL*` bits.
  public var rawValue: UInt32
  /// Events of the given bits.
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  /// `POLLIN`.
  public static let input = PollEvents(rawValue: 0x1)
  /// `POLLPRI`.
  public static let priority = PollEvents(rawValue: 0x2)
  /// `POLLOUT`.
  public static let output = PollEvents(rawValue: 0x4)
  /// `POLLERR`.
  public static let error = PollEvents(rawValue: 0x8)
  /// `POLLHUP`.
  public static let hangUp = PollEvents(rawValue: 0x10)
  /// `POLLNVAL`.
  public static let invalid = PollEvents(rawValue: 0x20)
  /// `POLLRDNORM`.
  public static let readNormal = PollEvents(rawValue: 0x40)
  /// `POLLWRNORM`.
  public static let writeNormal = PollEvents(rawValue: 0x100)
  /// `POLLRDHUP`.
  public static let readHangUp = PollEvents(rawValue: 0x2000)

  /// What a regular file always has.
  public static let always: PollEvents = [.input, .output, .readNormal, .writeNormal]
  static let readable: PollEvents = [.input, .readNormal]
  static let writable: PollEvents = [.output, .writeNormal]
}

/// Who asks: the ids that file access is checked against.
public struct Credentials: Sendable, Equatable {
  /// File-system user id; 0 overrides permissions (`CAP_DAC_OVERRIDE`).
  public var uid: UInt32
  /// File-system group id.
  public var gid: UInt32
  /// Supplementary groups.
  public var groups: [UInt32]
  /// Credentials of the given ids.
  public init(uid: UInt32 = 0, gid: UInt32 = 0, groups: [UInt32] = []) {
    self.uid = uid
    self.gid = gid
    self.groups = groups
  }
}

/// The memory of the program that makes a system call.
public protocol UserMemory: AnyObject {
  /// Reads `count` bytes at `va`.
  ///
  /// - Throws: `EFAULT`.
  func read(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8]
  /// Writes bytes at `va`.
  ///
  /// - Throws: `EFAULT`.
  func write(_ va: UInt64, _ bytes: [UInt8]) throws(Errno)
  /// As ``read(_:_:)``, whatever the protection (`FOLL_FORCE`).
  func readForced(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8]
  /// As ``write(_:_:)``, whatever the protection: into a private copy.
  func writeForced(_ va: UInt64, _ bytes: [UInt8]) throws(Errno)
}

extension UserMemory {
  /// Memory without protections.
  public func readForced(_ va: UInt64, _ count: Int) throws(Errno) -> [UInt8] {
    try read(va, count)
  }
  /// Memory without protections.
  public func writeForced(_ va: UInt64, _ bytes: [UInt8]) throws(Errno) { try write(va, bytes) }
}

extension DeviceNumber: Archived {
  package static func placeholder(_ a: Archive) -> DeviceNumber { DeviceNumber(0, 0) }
  package mutating func archive(_ a: Archive) {
    a("major", &major)
    a("minor", &minor)
  }
}

extension Credentials: Archived {
  package static func placeholder(_ a: Archive) -> Credentials { Credentials() }
  package mutating func archive(_ a: Archive) {
    a("uid", &uid)
    a("gid", &gid)
    a("groups", &groups)
  }
}
