/// Writes a flattened devicetree, version 17.
///
/// | Offset | Header field | Value |
/// |---|---|---|
/// | 0x00 | magic | 0xd00dfeed |
/// | 0x04 | totalsize | bytes of the blob |
/// | 0x08 | off_dt_struct | behind the reservations |
/// | 0x0c | off_dt_strings | behind the structure |
/// | 0x10 | off_mem_rsvmap | 0x28 |
/// | 0x14 | version | 17 |
/// | 0x18 | last_comp_version | 16 |
/// | 0x1c | boot_cpuid_phys | the hart that boots |
/// | 0x20 | size_dt_strings | |
/// | 0x24 | size_dt_struct | |
///
/// All numbers are big-endian; tokens are 1 begin node, 2 end node, 3 property, 9 end.
///
/// - SeeAlso: Devicetree Specification, Release v0.4, "Flattened Devicetree (DTB) Format".
public struct FDTWriter {
  private var structure: [UInt8] = []
  private var strings: [UInt8] = []
  private var offsets: [String: UInt32] = [:]
  private var reservations: [(UInt64, UInt64)] = []

  /// A tree without nodes.
  ///
  /// Write the root node, whose name is empty, first.
  public init() {}

  /// Reserves a range of memory.
  public mutating func reserve(_ base: UInt64, _ size: UInt64) {
    reservations.append((base, size))
  }

  /// Writes a node and, by `content`, its properties and then its children.
  public mutating func node(_ name: String, _ content: (inout FDTWriter) -> Void) {
    word(1)
    structure.append(contentsOf: Self.terminated(name))
    pad()
    content(&self)
    word(2)
  }

  /// Writes a property of bytes.
  public mutating func property(_ name: String, bytes: [UInt8]) {
    word(3)
    word(UInt32(truncatingIfNeeded: bytes.count))
    word(offset(of: name))
    structure.append(contentsOf: bytes)
    pad()
  }

  /// Writes a property that is true by being there.
  public mutating func property(_ name: String) { property(name, bytes: []) }

  /// Writes a property of 32-bit cells.
  public mutating func property(_ name: String, cells: [UInt32]) {
    property(name, bytes: cells.flatMap(Self.bigEndian))
  }

  /// Writes a property of 64-bit numbers, each two cells.
  public mutating func property(_ name: String, wide: [UInt64]) {
    property(
      name,
      cells: wide.flatMap {
        [UInt32(truncatingIfNeeded: $0 >> 32), UInt32(truncatingIfNeeded: $0)]
      })
  }

  /// Writes a property of one string or a list of strings.
  public mutating func property(_ name: String, strings: [String]) {
    property(name, bytes: strings.flatMap(Self.terminated))
  }

  /// The blob.
  public func blob(bootHart: UInt32 = 0) -> [UInt8] {
    let map = (reservations + [(0, 0)]).flatMap { [$0.0, $0.1] }.flatMap {
      Self.bigEndian(UInt32(truncatingIfNeeded: $0 >> 32))
        + Self.bigEndian(UInt32(truncatingIfNeeded: $0))
    }
    let tokens = structure + Self.bigEndian(9)
    let header = 40
    let total = header + map.count + tokens.count + strings.count
    let fields: [Int] = [
      0xd00d_feed, total, header + map.count, header + map.count + tokens.count, header, 17, 16,
      Int(bootHart), strings.count, tokens.count,
    ]
    return fields.flatMap { Self.bigEndian(UInt32(truncatingIfNeeded: $0)) } + map + tokens
      + strings
  }

  private mutating func offset(of name: String) -> UInt32 {
    if let known = offsets[name] { return known }
    let offset = UInt32(truncatingIfNeeded: strings.count)
    offsets[name] = offset
    strings.append(contentsOf: Self.terminated(name))
    return offset
  }

  private mutating func word(_ value: UInt32) {
    structure.append(contentsOf: Self.bigEndian(value))
  }

  private mutating func pad() { while structure.count % 4 != 0 { structure.append(0) } }

  /// A string as C has it; what follows a zero byte is not written.
  private static func terminated(_ string: String) -> [UInt8] {
    Array(string.utf8.prefix { $0 != 0 }) + [0]
  }

  private static func bigEndian(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }
}
