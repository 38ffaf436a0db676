/// The C structures of the generic 64-bit ABI, encoded and decoded.
///
/// - SeeAlso: Linux, `include/uapi/asm-generic/`, `include/uapi/linux/`
enum ABI {
  // MARK: Times

  static let second: UInt64 = 1_000_000_000

  /// `struct timespec` at an offset, in nanoseconds.
  static func timespec(_ bytes: [UInt8], _ offset: Int) throws(Errno) -> UInt64 {
    let seconds = bytes.get(offset, Int64.self)
    let nanoseconds = bytes.get(offset + 8, Int64.self)
    guard seconds >= 0, nanoseconds >= 0, nanoseconds < Int64(second) else { throw .EINVAL }
    return clamp(UInt64(seconds), second, UInt64(nanoseconds))
  }

  /// `struct timeval` at an offset, in nanoseconds.
  static func timeval(_ bytes: [UInt8], _ offset: Int) throws(Errno) -> UInt64 {
    let seconds = bytes.get(offset, Int64.self)
    let microseconds = bytes.get(offset + 8, Int64.self)
    guard seconds >= 0, microseconds >= 0, microseconds < 1_000_000 else { throw .EINVAL }
    return clamp(UInt64(seconds), second, UInt64(microseconds) &* 1000)
  }

  /// `a * b + c`, as great as can be where it does not fit (`KTIME_MAX`).
  static func clamp(_ a: UInt64, _ b: UInt64, _ c: UInt64) -> UInt64 {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    if overflow || product > UInt64(Int64.max) - c { return UInt64(Int64.max) }
    return product + c
  }

  static func timespec(_ nanoseconds: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 16)
    bytes.put(0, nanoseconds / second)
    bytes.put(8, nanoseconds % second)
    return bytes
  }

  static func timeval(_ nanoseconds: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 16)
    bytes.put(0, nanoseconds / second)
    bytes.put(8, nanoseconds % second / 1000)
    return bytes
  }

  /// `struct itimerspec` or, with `micro`, `struct itimerval`.
  static func itimer(interval: UInt64, value: UInt64, micro: Bool) -> [UInt8] {
    micro ? timeval(interval) + timeval(value) : timespec(interval) + timespec(value)
  }

  // MARK: Files

  /// `S_IF*` and permission bits of `st_mode`.
  static let S_IFMT: UInt32 = 0o170000, S_IFREG: UInt32 = 0o100000, S_IFDIR: UInt32 = 0o040000
  static let S_IFCHR: UInt32 = 0o020000, S_IFIFO: UInt32 = 0o010000, S_IFLNK: UInt32 = 0o120000
  static let S_IFBLK: UInt32 = 0o060000, S_IFSOCK: UInt32 = 0o140000

  /// What `stat` tells of a file.
  struct Stat {
    var dev: UInt64 = 0, ino: UInt64 = 0, rdev: UInt64 = 0, size: UInt64 = 0
    var mode: UInt32 = 0, nlink: UInt32 = 0, uid: UInt32 = 0, gid: UInt32 = 0
    var atime: UInt64 = 0, mtime: UInt64 = 0, ctime: UInt64 = 0, btime: UInt64 = 0
    var blocks: UInt64 { (size &+ 511) / 512 }
  }

  /// `struct stat` of asm-generic: 128 bytes.
  static func stat(_ stat: Stat) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 128)
    bytes.put(0, stat.dev)
    bytes.put(8, stat.ino)
    bytes.put(16, stat.mode)
    bytes.put(20, stat.nlink)
    bytes.put(24, stat.uid)
    bytes.put(28, stat.gid)
    bytes.put(32, stat.rdev)
    bytes.put(48, stat.size)
    bytes.put(56, UInt32(4096))
    bytes.put(64, stat.blocks)
    for (offset, time) in [(72, stat.atime), (88, stat.mtime), (104, stat.ctime)] {
      bytes.put(offset, time / second)
      bytes.put(offset + 8, time % second)
    }
    return bytes
  }

  /// `struct statx`: 256 bytes, the basic fields and the birth time.
  static func statx(_ stat: Stat) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 256)
    bytes.put(0, UInt32(0xfff))
    bytes.put(4, UInt32(4096))
    bytes.put(16, stat.nlink)
    bytes.put(20, stat.uid)
    bytes.put(24, stat.gid)
    bytes.put(28, UInt16(truncatingIfNeeded: stat.mode))
    bytes.put(32, stat.ino)
    bytes.put(40, stat.size)
    bytes.put(48, stat.blocks)
    let times = [(64, stat.atime), (80, stat.btime), (96, stat.ctime), (112, stat.mtime)]
    for (offset, time) in times {
      bytes.put(offset, time / second)
      bytes.put(offset + 8, UInt32(truncatingIfNeeded: time % second))
    }
    bytes.put(128, major(stat.rdev))
    bytes.put(132, minor(stat.rdev))
    bytes.put(136, major(stat.dev))
    bytes.put(140, minor(stat.dev))
    return bytes
  }

  static func major(_ dev: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: (dev >> 8) & 0xfff | (dev >> 32) & 0xffff_f000)
  }

  static func minor(_ dev: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: dev & 0xff | (dev >> 12) & 0xffff_ff00)
  }

  /// `struct statfs`: 120 bytes.
  static func statfs(type: UInt64, blocks: UInt64, free: UInt64, flags: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 120)
    let values: [UInt64] = [type, 4096, blocks, free, free, blocks, blocks / 2, 0, 255, 4096, flags]
    for (index, value) in values.enumerated() { bytes.put(index * 8, value) }
    return bytes
  }

  // MARK: Processes

  /// `struct rusage`: 144 bytes.
  static func rusage(runtime: UInt64, usage: TaskUsage, maxResidentKB: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 144)
    bytes.put(0, runtime / second)
    bytes.put(8, runtime % second / 1000)
    bytes.put(32, maxResidentKB)
    bytes.put(64, usage.minorFaults)
    bytes.put(72, usage.majorFaults)
    bytes.put(128, usage.voluntarySwitches)
    bytes.put(136, usage.involuntarySwitches)
    return bytes
  }

  /// `struct new_utsname`: six fields of 65 bytes.
  static func utsname(_ fields: [String]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 390)
    for (index, field) in fields.prefix(6).enumerated() {
      for (at, byte) in field.utf8.prefix(64).enumerated() { bytes[index * 65 + at] = byte }
    }
    return bytes
  }

  /// `struct sysinfo`: 112 bytes.
  static func sysinfo(
    uptime: UInt64, total: UInt64, free: UInt64, processes: Int
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 112)
    bytes.put(0, uptime)
    bytes.put(32, total)
    bytes.put(40, free)
    bytes.put(80, UInt16(truncatingIfNeeded: processes))
    bytes.put(104, UInt32(1))
    return bytes
  }

  /// `stack_t`: 24 bytes.
  static func stack(sp: UInt64, flags: UInt32, size: UInt64) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 24)
    bytes.put(0, sp)
    bytes.put(8, flags)
    bytes.put(16, size)
    return bytes
  }

  /// A `struct flock`: 32 bytes, of a lock that nobody holds.
  static let F_UNLCK: Int16 = 2
}

extension [UInt8] {
  /// Writes a little-endian value at an offset; nothing where it does not fit.
  mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _ value: T) {
    guard offset >= 0, offset + MemoryLayout<T>.size <= count else { return }
    withUnsafeMutableBytes { $0.storeBytes(of: value, toByteOffset: offset, as: T.self) }
  }

  /// The little-endian value at an offset; zero where it does not fit.
  func get<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, _ type: T.Type) -> T {
    guard offset >= 0, offset + MemoryLayout<T>.size <= count else { return 0 }
    return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
  }
}
