/// Makes an ELF file: segments where they are to lie, and symbols.
///
/// - SeeAlso: elf(5)
public struct ELFBuilder {
  /// A run of addresses with one protection.
  public struct Segment {
    /// The section's name; a segment without one has no section.
    public var name: String?
    /// Where it lies.
    public var address: UInt64
    /// What it holds.
    public var bytes: [UInt8]
    /// How far it reaches.
    public var size: UInt64
    /// `PF_R` 4, `PF_W` 2, `PF_X` 1.
    public var flags: UInt32

    /// A segment that reaches as far as its bytes, or further.
    public init(
      name: String? = nil, address: UInt64, bytes: [UInt8], size: UInt64? = nil, flags: UInt32
    ) {
      self.name = name
      self.address = address
      self.bytes = bytes
      self.size = size ?? UInt64(bytes.count)
      self.flags = flags
    }
  }

  /// A name for an address.
  public struct Symbol {
    /// The name.
    public var name: String
    /// The address.
    public var address: UInt64
    /// Bytes.
    public var size: UInt64
    /// Names instructions.
    public var isFunction: Bool
    /// `STB_GLOBAL`.
    public var isGlobal: Bool
    /// The segment that it lies in; `nil`: a number (`SHN_ABS`).
    public var segment: Int?

    /// A symbol of these parts.
    public init(
      name: String, address: UInt64, size: UInt64 = 0, isFunction: Bool = false,
      isGlobal: Bool = true, segment: Int? = nil
    ) {
      self.name = name
      self.address = address
      self.size = size
      self.isFunction = isFunction
      self.isGlobal = isGlobal
      self.segment = segment
    }
  }

  /// `e_machine`.
  public var machine: UInt16
  /// Where execution begins.
  public var entry: UInt64
  /// `e_flags`.
  public var flags: UInt32 = 0
  /// The segments.
  public var segments: [Segment]
  /// The symbols.
  public var symbols: [Symbol] = []

  /// A file of these segments.
  public init(machine: UInt16, entry: UInt64, segments: [Segment]) {
    self.machine = machine
    self.entry = entry
    self.segments = segments
  }

  private static let page: UInt64 = 4096

  /// The file: headers, each segment in pages of its own, then tables for tools.
  public var bytes: [UInt8] {
    var offsets: [UInt64] = []
    var offset = Self.page
    for segment in segments {
      // Offset and address agree within a page.
      offsets.append(offset + segment.address % Self.page)
      let end = offset + segment.address % Self.page + UInt64(segment.bytes.count)
      offset = (end + Self.page - 1) & ~(Self.page - 1)
    }
    var body = Fields()
    for (segment, at) in zip(segments, offsets) {
      body.pad(to: Int(at - Self.page))
      body.bytes += segment.bytes
    }
    let tables = tables(offsets, base: Self.page + UInt64(body.bytes.count))
    body.bytes += tables.bytes
    var file = header(sections: tables.headers, count: tables.count)
    for (segment, at) in zip(segments, offsets) {
      file.put(UInt32(1))
      file.put(segment.flags)
      for word in [
        at, segment.address, segment.address, UInt64(segment.bytes.count), segment.size,
        Self.page,
      ] {
        file.put(word)
      }
    }
    file.pad(to: Int(Self.page))
    return file.bytes + body.bytes
  }

  private func header(sections: UInt64, count: Int) -> Fields {
    var file = Fields()
    file.bytes = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
    file.put(UInt16(2))
    file.put(machine)
    file.put(UInt32(1))
    file.put(entry)
    file.put(UInt64(64))
    file.put(count == 0 ? 0 : sections)
    file.put(flags)
    let halves = [64, 56, segments.count, 64, count, max(count - 1, 0)]
    for half in halves { file.put(UInt16(truncatingIfNeeded: half)) }
    return file
  }

  /// Symbols, strings and section headers, to be put at `base` in the file.
  private func tables(
    _ offsets: [UInt64], base: UInt64
  ) -> (bytes: [UInt8], headers: UInt64, count: Int) {
    let named = segments.indices.filter { segments[$0].name != nil }
    if named.isEmpty && symbols.isEmpty { return ([], 0, 0) }
    var names = Strings()
    var strings = Strings()
    var table = Fields()
    for _ in 0..<3 { table.put(UInt64(0)) }
    // Local ones come first.
    let sorted = symbols.filter { !$0.isGlobal } + symbols.filter(\.isGlobal)
    for symbol in sorted {
      table.put(strings.add(symbol.name))
      table.bytes += [(symbol.isGlobal ? 1 << 4 : 0) | (symbol.isFunction ? 2 : 0), 0]
      let home = symbol.segment.flatMap { named.firstIndex(of: $0) }
      table.put(home.map { UInt16(truncatingIfNeeded: $0 + 1) } ?? 0xfff1)
      table.put(symbol.address)
      table.put(symbol.size)
    }
    var headers = Fields()
    headers.bytes = [UInt8](repeating: 0, count: 64)
    func add(
      _ name: String, type: UInt32, flags: UInt64 = 0, address: UInt64 = 0, at: UInt64,
      size: UInt64, link: UInt32 = 0, info: UInt32 = 0, align: UInt64 = 1, entry: UInt64 = 0
    ) {
      headers.put(names.add(name))
      headers.put(type)
      for word in [flags, address, at, size] { headers.put(word) }
      headers.put(link)
      headers.put(info)
      headers.put(align)
      headers.put(entry)
    }
    for index in named {
      let segment = segments[index]
      // SHF_ALLOC, SHF_WRITE, SHF_EXECINSTR.
      let flags = 2 | UInt64(segment.flags & 2) >> 1 | UInt64(segment.flags & 1) << 2
      add(
        segment.name ?? "", type: segment.bytes.isEmpty && segment.size > 0 ? 8 : 1, flags: flags,
        address: segment.address, at: offsets[index], size: segment.size, align: 4)
    }
    let symtabAt = (base + 7) & ~7
    let strtabAt = symtabAt + UInt64(table.bytes.count)
    let namesAt = strtabAt + UInt64(strings.bytes.count)
    let locals = UInt32(truncatingIfNeeded: symbols.count { !$0.isGlobal } + 1)
    add(
      ".symtab", type: 2, at: symtabAt, size: UInt64(table.bytes.count),
      link: UInt32(truncatingIfNeeded: named.count + 2), info: locals, align: 8, entry: 24)
    add(".strtab", type: 3, at: strtabAt, size: UInt64(strings.bytes.count))
    // Its own name is in it.
    let size = names.bytes.count + ".shstrtab".utf8.count + 1
    add(".shstrtab", type: 3, at: namesAt, size: UInt64(size))
    var bytes = Fields()
    bytes.pad(to: Int(symtabAt - base))
    bytes.bytes += table.bytes + strings.bytes + names.bytes
    bytes.pad(to: (bytes.bytes.count + 7) & ~7)
    let at = (base + UInt64(bytes.bytes.count) + 7) & ~7
    bytes.pad(to: Int(at - base))
    bytes.bytes += headers.bytes
    return (bytes.bytes, at, named.count + 4)
  }

  /// Little-endian numbers.
  private struct Fields {
    var bytes: [UInt8] = []

    mutating func put<T: FixedWidthInteger>(_ value: T) {
      for byte in 0..<(T.bitWidth / 8) {
        bytes.append(UInt8(truncatingIfNeeded: value >> T(8 * byte)))
      }
    }

    mutating func pad(to count: Int) {
      bytes += [UInt8](repeating: 0, count: max(count - bytes.count, 0))
    }
  }

  private struct Strings {
    var bytes: [UInt8] = [0]

    mutating func add(_ text: String) -> UInt32 {
      defer { bytes += Array(text.utf8) + [0] }
      return UInt32(truncatingIfNeeded: bytes.count)
    }
  }
}
