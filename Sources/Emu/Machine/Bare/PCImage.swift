import Image

/// What boots an x86-64 image: both protocols enter 32-bit protected mode.
enum PCBoot: Equatable {
  /// - SeeAlso: Multiboot Specification 0.6.96.
  case multiboot
  /// - SeeAlso: Xen, 'x86/HVM direct boot ABI'.
  case pvh
}

/// The program headers of an ELF32 or ELF64 file for x86, and how it wants to be started.
struct PCImage {
  private static let multibootMagic: UInt64 = 0x1bad_b002
  /// What a multiboot header may require: modules on pages, of which there are none; memory.
  private static let knownRequirements: UInt64 = 3
  /// `XEN_ELFNOTE_PHYS32_ENTRY`.
  private static let entryNote: UInt64 = 18

  private(set) var pieces: [BareImage.Piece] = []
  private(set) var entry: UInt64 = 0
  private(set) var boot: PCBoot = .multiboot
  private let bytes: [UInt8]
  private let isWide: Bool

  /// Whether bytes are an ELF file for this machine.
  static func isOne(_ bytes: [UInt8]) -> Bool {
    bytes.count > 20 && bytes.starts(with: [0x7f, 0x45, 0x4c, 0x46]) && bytes[5] == 1
      && (bytes[18] == 62 && bytes[4] == 2 || bytes[18] == 3 && bytes[4] == 1) && bytes[19] == 0
  }

  /// Reads one for which ``isOne(_:)`` holds.
  init(_ bytes: [UInt8]) throws(ELFError) {
    self.bytes = bytes
    isWide = bytes[4] == 2
    let header = multibootHeader
    if let header, let addresses = header.addresses {
      try load(addresses, header)
      try refuseRequirements(header)
      return
    }
    let virtualEntry = try number(24, isWide ? 8 : 4)
    let table = try number(isWide ? 32 : 28, isWide ? 8 : 4)
    let entrySize = try number(isWide ? 54 : 42, 2)
    let count = try number(isWide ? 56 : 44, 2)
    guard entrySize >= (isWide ? 56 : 32), count <= 64 else {
      throw .malformed("program headers of \(entrySize) bytes, \(count) of them")
    }
    var start: UInt64?
    var physical = virtualEntry
    for index in 0..<count {
      let at = table &+ index &* entrySize
      let kind = try number(at, 4)
      // What the others say is nobody's business.
      guard kind == 1 || kind == 4 else { continue }
      let offset = try number(at &+ (isWide ? 8 : 4), isWide ? 8 : 4)
      let va = try number(at &+ (isWide ? 16 : 8), isWide ? 8 : 4)
      let pa = try number(at &+ (isWide ? 24 : 12), isWide ? 8 : 4)
      let size = try number(at &+ (isWide ? 32 : 16), isWide ? 8 : 4)
      let memory = try number(at &+ (isWide ? 40 : 20), isWide ? 8 : 4)
      guard offset <= UInt64(bytes.count), size <= UInt64(bytes.count) &- offset else {
        throw .truncated("segments")
      }
      let content = bytes[Int(offset)..<Int(offset &+ size)]
      switch kind {
      case 1 where memory > 0:
        guard size <= memory, pa < 1 << 32, memory < 1 << 32 else {
          throw .malformed("a segment that does not fit below 4 GiB")
        }
        try add(content, at: pa, memory)
        if virtualEntry &- va < memory { physical = pa &+ (virtualEntry &- va) }
      case 4 where start == nil: start = try note(content)
      default: break
      }
    }
    guard !pieces.isEmpty else { throw .malformed("no loadable segment") }
    if let start, isWide || header == nil {
      boot = .pvh
      entry = start
    } else {
      guard let header else { throw .malformed("neither a multiboot header nor a PVH note") }
      try refuseRequirements(header)
      entry = physical
    }
  }

  private mutating func add(
    _ content: ArraySlice<UInt8>, at pa: UInt64, _ size: UInt64
  ) throws(ELFError) {
    guard
      pa >= PCBoard.information.upperBound
        || pa &+ size <= PCBoard.information.lowerBound
    else {
      throw .malformed("a segment at 0x\(String(pa, radix: 16)), where boot information lies")
    }
    pieces.append(BareImage.Piece(pa: pa, bytes: content, size: size))
  }

  private func number(_ at: UInt64, _ size: UInt64) throws(ELFError) -> UInt64 {
    guard at <= UInt64(bytes.count), size <= UInt64(bytes.count) &- at else {
      throw .truncated("headers")
    }
    return (0..<size).reversed().reduce(0) { $0 << 8 | UInt64(bytes[Int(at + $1)]) }
  }

  /// A multiboot header.
  private struct MultibootHeader {
    /// Its offset in the file.
    var offset: UInt64
    var flags: UInt64
    /// Where the header, the first byte that is loaded, the end of those and of the zeroes behind them,
    /// and the entry lie, where it says so.
    var addresses: [UInt64]?
  }

  /// The header, which with its sum lies in the first 8192 bytes.
  ///
  /// - SeeAlso: Multiboot Specification, 'The layout of Multiboot header'.
  private var multibootHeader: MultibootHeader? {
    for at in stride(from: UInt64(0), through: 8192 - 12, by: 4) {
      guard let magic = try? number(at, 4), magic == Self.multibootMagic,
        let flags = try? number(at &+ 4, 4), let sum = try? number(at &+ 8, 4),
        (magic &+ flags &+ sum) & 0xffff_ffff == 0
      else { continue }
      let addresses = (0..<5).compactMap { try? number(at &+ 12 &+ $0 &* 4, 4) }
      return MultibootHeader(
        offset: at, flags: flags,
        addresses: flags >> 16 & 1 == 1 && addresses.count == 5 ? addresses : nil)
    }
    return nil
  }

  /// Refuses what the header requires and the board does not have.
  ///
  /// A video mode (bit 2) is among it, for there is no screen: the specification has the loader fail
  /// then, while QEMU prints a warning and goes on.
  ///
  /// - SeeAlso: Multiboot Specification, 'The magic fields of Multiboot header'; QEMU,
  ///   `hw/i386/multiboot.c`, `load_multiboot`.
  private func refuseRequirements(_ header: MultibootHeader) throws(ELFError) {
    let unknown = header.flags & 0xffff & ~Self.knownRequirements
    guard unknown != 0 else { return }
    let what = unknown == 4 ? "a video mode" : "flags 0x\(String(unknown, radix: 16))"
    throw .malformed("its multiboot header requires \(what), which there is not")
  }

  /// Loads by the addresses of the header, which count for more than those of the ELF file.
  ///
  /// - SeeAlso: Multiboot Specification, 'The address fields of Multiboot header'.
  private mutating func load(
    _ addresses: [UInt64], _ header: MultibootHeader
  ) throws(ELFError) {
    let (place, start, end, zeroes) = (addresses[0], addresses[1], addresses[2], addresses[3])
    let (before, isBefore) = place.subtractingReportingOverflow(start)
    guard !isBefore, before <= header.offset else {
      throw .malformed("a multiboot header that loads what lies before the file")
    }
    let first = header.offset &- before
    let rest = UInt64(bytes.count) &- first
    let size = end == 0 ? rest : end &- start
    guard end == 0 || end >= start, size <= rest else { throw .truncated("segments") }
    guard zeroes == 0 || zeroes >= start &+ size else {
      throw .malformed("a multiboot header with zeroes that end before they begin")
    }
    let memory = zeroes == 0 ? size : zeroes &- start
    try add(bytes[Int(first)..<Int(first &+ size)], at: start, memory)
    entry = addresses[4]
  }

  /// The address in Xen's note.
  private func note(_ bytes: ArraySlice<UInt8>) throws(ELFError) -> UInt64? {
    var at = UInt64(bytes.startIndex)
    while at &+ 12 <= UInt64(bytes.endIndex) {
      let name = try number(at, 4)
      let size = try number(at &+ 4, 4)
      let kind = try number(at &+ 8, 4)
      let data = at &+ 12 &+ (name &+ 3) & ~3
      if kind == Self.entryNote, name == 4, try number(at &+ 12, 4) == 0x006e_6558, size >= 4 {
        guard data &+ 4 <= UInt64(bytes.endIndex) else { throw .truncated("notes") }
        return try number(data, 4)
      }
      at = data &+ (size &+ 3) & ~3
    }
    return nil
  }
}
