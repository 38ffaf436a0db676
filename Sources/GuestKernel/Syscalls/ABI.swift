import Engine

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

  /// Seconds and nanoseconds of a time that may lie before 1970.
  static func split(_ time: Int64) -> (seconds: Int64, nanoseconds: UInt32) {
    let nanoseconds = time % Int64(second)
    let seconds = time / Int64(second)
    return nanoseconds < 0
      ? (seconds - 1, UInt32(nanoseconds + Int64(second))) : (seconds, UInt32(nanoseconds))
  }

  /// `struct stat`.
  static func stat(_ stat: FileAttributes, _ layout: StatLayout) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: layout.size)
    bytes.put(layout.device, stat.device.encoded)
    bytes.put(layout.inode, stat.inode)
    bytes.put(layout.mode, stat.mode.rawValue)
    bytes.put(layout.links, stat.links)
    bytes.put(layout.uid, stat.uid)
    bytes.put(layout.gid, stat.gid)
    bytes.put(layout.representedDevice, stat.representedDevice.encoded)
    bytes.put(layout.length, stat.size)
    bytes.put(layout.blockSize, stat.blockSize)
    bytes.put(layout.blocks, stat.blocks)
    for (offset, time) in [
      (layout.accessed, stat.accessed), (layout.modified, stat.modified),
      (layout.changed, stat.changed),
    ] {
      let (seconds, nanoseconds) = split(time)
      bytes.put(offset, seconds)
      bytes.put(offset + 8, UInt64(nanoseconds))
    }
    return bytes
  }

  /// `struct statx`: 256 bytes, the basic fields and the birth time.
  static func statx(_ stat: FileAttributes) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 256)
    bytes.put(0, UInt32(0xfff))
    bytes.put(4, stat.blockSize)
    bytes.put(16, stat.links)
    bytes.put(20, stat.uid)
    bytes.put(24, stat.gid)
    bytes.put(28, UInt16(truncatingIfNeeded: stat.mode.rawValue))
    bytes.put(32, stat.inode)
    bytes.put(40, stat.size)
    bytes.put(48, stat.blocks)
    let times = [
      (64, stat.accessed), (80, stat.created), (96, stat.changed), (112, stat.modified),
    ]
    for (offset, time) in times {
      let (seconds, nanoseconds) = split(time)
      bytes.put(offset, seconds)
      bytes.put(offset + 8, nanoseconds)
    }
    bytes.put(128, stat.representedDevice.major)
    bytes.put(132, stat.representedDevice.minor)
    bytes.put(136, stat.device.major)
    bytes.put(140, stat.device.minor)
    return bytes
  }

  /// `struct statfs`: 120 bytes.
  static func statfs(_ of: FileSystemStatistics) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 120)
    let values: [UInt64] = [
      of.magic, of.blockSize, of.blocks, of.freeBlocks, of.freeBlocks, of.files, of.freeFiles,
      of.identifier, of.nameLimit, of.blockSize, of.flags,
    ]
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
