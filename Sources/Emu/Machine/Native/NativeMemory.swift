#if canImport(Glibc)
private import Glibc
#elseif canImport(Musl)
private import Musl
#endif

/// What is known of another process's memory, page by page, and what has changed since.
///
/// - SeeAlso: Linux, `Documentation/filesystems/proc.rst`, '/proc/PID/maps';
///   `Documentation/admin-guide/mm/pagemap.rst`.
final class NativeMemory {
  /// More than this is not followed.
  static let limit = 1 << 30

  private let process: Int32
  private var memory: Int32 = -1
  private var pageMap: Int32 = -1
  private var pages: [UInt64: [UInt8]] = [:]
  /// Mappings that were read and can't be written, by their lines.
  private var fixed: Set<Substring> = []
  /// There is more memory than ``limit``.
  private(set) var isTooLarge = false

  init(_ process: Int32) {
    self.process = process
    reopen()
  }

  deinit { closeAll() }

  private func closeAll() {
    if memory >= 0 { close(memory) }
    if pageMap >= 0 { close(pageMap) }
  }

  /// The process executes another program: its memory is another one's.
  func reopen() {
    closeAll()
    memory = open("/proc/\(process)/mem", O_RDWR | O_CLOEXEC)
    pageMap = open("/proc/\(process)/pagemap", O_RDONLY | O_CLOEXEC)
    fixed = []
  }

  /// As many of so many bytes as can be read.
  func read(_ address: UInt64, _ count: Int) -> [UInt8] {
    guard address < 1 << 47 else { return [] }
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
      used = 0
      let got = pread(memory, buffer.baseAddress, count, off_t(address))
      // A read that begins in a page and goes on into nothing gives nothing.
      if got < 0, address & 4095 != 0 || count > 1 {
        let within = min(count, 4096 - Int(address & 4095))
        used = max(pread(memory, buffer.baseAddress, within, off_t(address)), 0)
      } else {
        used = max(got, 0)
      }
    }
  }

  /// Writes bytes, which count as read.
  func write(_ address: UInt64, _ bytes: [UInt8]) {
    guard address < 1 << 47 else { return }
    _ = bytes.withUnsafeBytes { pwrite(memory, $0.baseAddress, $0.count, off_t(address)) }
    for (index, byte) in bytes.enumerated() {
      let at = address &+ UInt64(index)
      if pages[at & ~4095] != nil { pages[at & ~4095]?[Int(at & 4095)] = byte }
    }
  }

  /// The mappings, as lines of `/proc/PID/maps`.
  func maps() -> [Substring] {
    var text: [UInt8] = []
    let file = open("/proc/\(process)/maps", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let got = readSome(file, &buffer)
      guard got > 0 else { break }
      text += buffer[..<got]
    }
    return String(decoding: text, as: UTF8.self).split(separator: "\n")
  }

  /// Says every page that is not what it was at the last call; a page that is gone is all zeros.
  func changes(_ report: (UInt64, [UInt8]) -> Void) {
    var seen: Set<UInt64> = []
    for line in maps() {
      let parts = line.split(separator: " ", maxSplits: 5)
      guard parts.count >= 5, let range = Self.range(parts[0]) else { continue }
      let name = parts.count > 5 ? parts[5].drop { $0 == " " } : ""
      // Pages of the kernel's own can't be read so, and change by themselves.
      guard parts[1].first == "r", !["[vvar]", "[vvar_vclock]", "[vsyscall]"].contains(name) else {
        continue
      }
      let isFile = parts[4] != "0"
      if fixed.contains(line) {
        for page in stride(from: range.lowerBound, to: range.upperBound, by: 4096)
        where pages[page] != nil { seen.insert(page) }
        continue
      }
      read(range, all: isFile, &seen, report)
      if !parts[1].contains("w") { fixed.insert(line) }
    }
    for page in pages.keys where !seen.contains(page) {
      if pages[page]?.contains(where: { $0 != 0 }) == true {
        report(page, [UInt8](repeating: 0, count: 4096))
      }
      pages[page] = nil
    }
  }

  private static func range(_ text: Substring) -> Range<UInt64>? {
    let ends = text.split(separator: "-")
    guard ends.count == 2, let from = UInt64(ends[0], radix: 16),
      let to = UInt64(ends[1], radix: 16), from < to
    else { return nil }
    return from..<to
  }

  private func read(
    _ range: Range<UInt64>, all: Bool, _ seen: inout Set<UInt64>,
    _ report: (UInt64, [UInt8]) -> Void
  ) {
    let step = 512
    for from in stride(from: range.lowerBound, to: range.upperBound, by: 4096 * step) {
      let count = Int(min(UInt64(step), (range.upperBound - from) >> 12))
      let present = all ? nil : presence(from >> 12, count)
      var index = 0
      while index < count {
        // A run of pages that are there.
        let first = index
        while index < count, present?[index] ?? true { index += 1 }
        if index > first {
          let at = from + UInt64(first) << 12
          compare(at, read(at, (index - first) << 12), &seen, report)
        }
        while index < count, !(present?[index] ?? true) { index += 1 }
      }
    }
  }

  /// Which of so many pages are in memory or swapped out; `nil` where the host does not say.
  private func presence(_ page: UInt64, _ count: Int) -> [Bool]? {
    var entries = [UInt64](repeating: 0, count: count)
    let got = pread(pageMap, &entries, 8 * count, off_t(page * 8))
    guard got == 8 * count else { return nil }
    return entries.map { $0 >> 62 != 0 }
  }

  private func compare(
    _ from: UInt64, _ bytes: [UInt8], _ seen: inout Set<UInt64>,
    _ report: (UInt64, [UInt8]) -> Void
  ) {
    for offset in stride(from: 0, to: bytes.count & ~4095, by: 4096) {
      let page = from + UInt64(offset)
      seen.insert(page)
      let isSame = pages[page].map { known in
        known.withUnsafeBytes { known in
          bytes.withUnsafeBytes { now in
            guard let known = known.baseAddress, let now = now.baseAddress else { return false }
            return memcmp(known, now + offset, 4096) == 0
          }
        }
      }
      if isSame == true { continue }
      guard pages.count < Self.limit >> 12 else {
        isTooLarge = true
        return
      }
      let now = Array(bytes[offset..<offset + 4096])
      // What was never there and is all zeros is no change.
      if isSame != nil || now.contains(where: { $0 != 0 }) { report(page, now) }
      pages[page] = now
    }
  }
}

/// `read`: a method of the same name hides it.
private func readSome(_ file: Int32, _ buffer: inout [UInt8]) -> Int {
  buffer.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
}
