import Probes

/// A world with a few registers, symbols and files.
enum EventsWorld {
  static let registers: Set<String> = ["a0", "a1", "sp", "ra", "s0"]
  static let symbols: [String: UInt64] = [
    "vfs_read": 0xffff_ffff_8000_1000, "_sdata": 0xffff_ffff_8001_0000,
    "f.isra.0": 0xffff_ffff_8000_2000,
  ]

  static var names: EventNames {
    EventNames(
      isRegister: { registers.contains($0) },
      symbol: { name in
        if name == "twice" { return .ambiguous }
        return symbols[name].map { .address($0) } ?? .unknown
      },
      file: { path in
        switch path {
        case "/bin/sh", "./busybox", "/lib/x:y.so", "/bin/ld-linux.so": .regular
        case "/sys": .notRegular
        default: .missing
        }
      })
  }

  static func parse(_ text: String) throws -> EventDefinition {
    try EventParser.parse(text, names)
  }

  /// The error of a definition, or `nil` if it has none.
  static func error(_ text: String) -> EventError? {
    do throws(EventError) {
      _ = try EventParser.parse(text, names)
      return nil
    } catch {
      return error
    }
  }
}

/// A hit with given registers and memory.
struct FakeHit: FetchContext {
  var isUser = false
  var userEnd: UInt64 = 1 << 38
  var registers: [String: UInt64] = [:]
  var values: [UInt64] = []
  var kept: [UInt64] = []
  var returnValue: UInt64 = 0
  var stackPointer: UInt64 = 0
  var kernel: [UInt64: [UInt8]] = [:]
  var user: [UInt64: [UInt8]] = [:]
  var comm = Array("cat".utf8)
  var fileBase: UInt64 = 0

  func register(_ name: String) -> UInt64? { registers[name] }
  func argument(_ index: Int) -> UInt64? { index < values.count ? values[index] : nil }
  func entryValue(_ index: Int) -> UInt64? { index < kept.count ? kept[index] : nil }
  func readKernel(_ address: UInt64, _ count: Int) -> [UInt8]? {
    Self.read(kernel, address, count)
  }
  func readUser(_ address: UInt64, _ count: Int) -> [UInt8]? { Self.read(user, address, count) }
  func symbol(_ address: UInt64) -> KernelSymbol? { Self.symbol(address) }

  static func symbol(_ address: UInt64) -> KernelSymbol? {
    let start: UInt64 = 0xffff_ffff_8000_1000
    guard address &- start < 0x80 else { return nil }
    return KernelSymbol(name: "vfs_read", offset: address &- start, size: 0x80)
  }

  private static func read(
    _ memory: [UInt64: [UInt8]], _ address: UInt64, _ count: Int
  ) -> [UInt8]? {
    for (start, bytes) in memory where address >= start {
      let from = address - start
      guard from < UInt64(bytes.count) else { continue }
      let left = bytes.count - Int(from)
      return left >= count ? Array(bytes[Int(from)..<(Int(from) + count)]) : nil
    }
    return nil
  }
}

extension Array where Element == UInt8 {
  /// A block of bytes from text, with zeros up to `size`.
  static func block(_ text: String, _ size: Int) -> [UInt8] {
    let bytes = Array(text.utf8)
    return bytes + [UInt8](repeating: 0, count: Swift.max(size - bytes.count, 0))
  }
}
