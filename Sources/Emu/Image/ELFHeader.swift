/// A program header: what of the file goes where in memory.
public struct ELFSegment: Sendable, Equatable {
  /// `p_type`.
  public var type: UInt32
  /// `p_flags`: 1 execute, 2 write, 4 read.
  public var flags: UInt32
  /// Where it starts in the file.
  public var offset: UInt64
  /// Its virtual address, before a load bias.
  public var address: UInt64
  /// Its physical address.
  public var physicalAddress: UInt64
  /// Bytes in the file.
  public var fileSize: UInt64
  /// Bytes in memory.
  public var memorySize: UInt64
  /// Alignment, a power of two (1: none).
  public var alignment: UInt64

  /// Loads are allowed.
  public var isReadable: Bool { flags & 4 != 0 }
  /// Stores are allowed.
  public var isWritable: Bool { flags & 2 != 0 }
  /// Fetches are allowed.
  public var isExecutable: Bool { flags & 1 != 0 }
  /// The first address behind it.
  public var end: UInt64 { address &+ memorySize }

  /// `PT_LOAD`, `PT_DYNAMIC`, `PT_INTERP`, `PT_PHDR`, `PT_GNU_STACK`.
  public static let load: UInt32 = 1
  /// `PT_DYNAMIC`.
  public static let dynamic: UInt32 = 2
  /// `PT_INTERP`.
  public static let interpreter: UInt32 = 3
  /// `PT_PHDR`.
  public static let programHeaders: UInt32 = 6
  /// `PT_GNU_STACK`.
  public static let gnuStack: UInt32 = 0x6474_e551
}

/// What is asked of an ELF file besides being one.
public struct ELFRequirements: Sendable {
  /// `e_machine`, where only one will do.
  public var machine: UInt16?
  /// Segments end at or below this address; for a shared object, their span is no longer.
  public var addressLimit: UInt64
  /// The most bytes of memory that all segments may need.
  public var memoryLimit: UInt64

  /// The given requirements.
  public init(
    machine: UInt16? = nil, addressLimit: UInt64 = .max, memoryLimit: UInt64 = 1 << 40
  ) {
    self.machine = machine
    self.addressLimit = addressLimit
    self.memoryLimit = memoryLimit
  }
}

/// The ELF header and the program headers, checked: all that is needed to load a program.
///
/// Whatever the bytes are, reading them either throws or gives headers whose ranges lie in the
/// file and do not wrap.
///
/// - SeeAlso: Linux, `fs/binfmt_elf.c`, `load_elf_binary`; elf(5)
public struct ELFHeader: Sendable, Equatable {
  /// `e_type`: 2 executable at fixed addresses, 3 shared object or position-independent executable.
  public let type: UInt16
  /// `e_machine`.
  public let machine: UInt16
  /// `e_flags`.
  public let flags: UInt32
  /// `e_entry`, before a load bias.
  public let entry: UInt64
  /// All program headers, in the file's order.
  public let segments: [ELFSegment]
  /// The loadable ones that occupy memory, by ascending address.
  public let loadable: [ELFSegment]
  /// Where the program headers are in the file.
  public let programHeadersOffset: UInt64
  /// Bytes in a program header: always 56.
  public static let programHeaderSize = 56
  /// Bytes in the ELF header.
  public static let size = 64

  /// Whether it can be loaded anywhere.
  public var isPIE: Bool { type == 3 }
  /// The lowest address that a segment covers.
  public var firstAddress: UInt64 { loadable.first?.address ?? 0 }
  /// The first address behind all segments.
  public var endAddress: UInt64 { loadable.map(\.end).max() ?? 0 }
  /// Where the path of the interpreter is in the file (with its NUL).
  public var interpreterRange: (offset: UInt64, count: Int)? {
    segments.first { $0.type == ELFSegment.interpreter }.map { ($0.offset, Int($0.fileSize)) }
  }
  /// Whether `PT_GNU_STACK` asks for an executable stack; `nil` without that header.
  public var executableStack: Bool? {
    segments.last { $0.type == ELFSegment.gnuStack }?.isExecutable
  }
  /// The virtual address of the program headers, before a load bias: 0 where they are not loaded.
  public var programHeadersAddress: UInt64 {
    for segment in loadable
    where segment.offset <= programHeadersOffset
      && programHeadersOffset &- segment.offset < segment.fileSize
    {
      return programHeadersOffset &- segment.offset &+ segment.address
    }
    return 0
  }

  /// Reads and checks headers.
  ///
  /// - Parameters:
  ///   - fileSize: bytes in the file.
  ///   - requirements: what else is asked of it.
  ///   - read: bytes of the file at an offset; fewer than asked for at its end.
  /// - Throws: why it is refused.
  public init(
    fileSize: UInt64, requirements: ELFRequirements = ELFRequirements(),
    read: (_ offset: UInt64, _ count: Int) -> [UInt8]
  ) throws(ELFError) {
    let head = read(0, Self.size)
    guard head.count >= 4, head[0] == 0x7f, head[1] == 0x45, head[2] == 0x4c, head[3] == 0x46
    else { throw .notELF }
    guard head.count >= Self.size, fileSize >= UInt64(Self.size) else {
      throw .truncated("ELF header")
    }
    guard head[4] == 2 else { throw .wrongClass(head[4]) }
    guard head[5] == 1 else { throw .wrongByteOrder(head[5]) }
    guard head[6] == 1 else { throw .malformed("unknown ELF version \(head[6])") }
    let fields = Fields(head)
    type = fields.u16(16)
    machine = fields.u16(18)
    entry = fields.u64(24)
    programHeadersOffset = fields.u64(32)
    flags = fields.u32(48)
    if let expected = requirements.machine, expected != machine {
      throw .wrongMachine(found: machine, expected: expected)
    }
    guard type == 2 || type == 3 else { throw .wrongType(type) }
    guard fields.u16(54) == Self.programHeaderSize || fields.u16(56) == 0 else {
      throw .malformed("program headers of \(fields.u16(54)) bytes instead of 56")
    }
    let count = Int(fields.u16(56))
    guard count > 0 else { throw .malformed("no program headers: nothing to load") }
    // Linux's limit: all of them in 64 KiB.
    guard count <= 65536 / Self.programHeaderSize else {
      throw .malformed("\(count) program headers are too many")
    }
    let bytes = count * Self.programHeaderSize
    guard programHeadersOffset <= fileSize, UInt64(bytes) <= fileSize &- programHeadersOffset
    else { throw .truncated("program headers") }
    let table = Fields(read(programHeadersOffset, bytes))
    guard table.bytes.count == bytes else { throw .truncated("program headers") }
    var segments: [ELFSegment] = []
    segments.reserveCapacity(count)
    for index in 0..<count {
      let at = index * Self.programHeaderSize
      segments.append(
        ELFSegment(
          type: table.u32(at), flags: table.u32(at + 4), offset: table.u64(at + 8),
          address: table.u64(at + 16), physicalAddress: table.u64(at + 24),
          fileSize: table.u64(at + 32), memorySize: table.u64(at + 40),
          alignment: max(table.u64(at + 48), 1)))
    }
    self.segments = segments
    loadable = try Self.check(segments, fileSize, requirements)
    try checkEntry(requirements)
  }

  /// Checks every segment that something will be done with.
  private static func check(
    _ segments: [ELFSegment], _ fileSize: UInt64, _ requirements: ELFRequirements
  ) throws(ELFError) -> [ELFSegment] {
    var loadable: [ELFSegment] = []
    for (index, segment) in segments.enumerated() {
      switch segment.type {
      case ELFSegment.interpreter:
        guard (2...4096).contains(segment.fileSize) else {
          throw .malformed("the interpreter's path has \(segment.fileSize) bytes")
        }
        fallthrough
      case ELFSegment.load:
        guard segment.offset <= fileSize, segment.fileSize <= fileSize &- segment.offset else {
          throw .truncated("segment \(index)")
        }
      default: continue
      }
      guard segment.type == ELFSegment.load else { continue }
      try checkLoadable(segment, index)
      if segment.memorySize > 0 { loadable.append(segment) }
    }
    guard !loadable.isEmpty else { throw .malformed("no loadable segment") }
    loadable.sort { $0.address < $1.address }
    var total: UInt64 = 0
    for (index, segment) in loadable.enumerated() {
      if index > 0, segment.address < loadable[index - 1].end {
        throw .malformed(
          "segments overlap at address 0x\(String(segment.address, radix: 16))")
      }
      total &+= segment.memorySize
      // Every one is at most 2^63 long, so the sum is looked at before it can wrap.
      guard total <= requirements.memoryLimit else {
        throw .malformed(
          "segments need more than the \(requirements.memoryLimit) bytes of memory there are")
      }
    }
    return loadable
  }

  private static func checkLoadable(_ segment: ELFSegment, _ index: Int) throws(ELFError) {
    guard segment.fileSize <= segment.memorySize else {
      throw .malformed("segment \(index) has more bytes in the file than in memory")
    }
    guard segment.memorySize < 1 << 63, segment.address <= UInt64.max &- segment.memorySize,
      segment.address &+ segment.memorySize <= UInt64.max &- 4095
    else { throw .malformed("segment \(index) reaches behind the last address") }
    guard segment.alignment & (segment.alignment &- 1) == 0 else {
      throw .malformed("segment \(index) has alignment \(segment.alignment), not a power of two")
    }
    guard segment.fileSize == 0 || (segment.address &- segment.offset) & 4095 == 0 else {
      throw .malformed("segment \(index) lies differently in its page in the file and in memory")
    }
  }

  private func checkEntry(_ requirements: ELFRequirements) throws(ELFError) {
    let span = isPIE ? endAddress &- (firstAddress & ~4095) : endAddress
    guard span <= requirements.addressLimit else {
      throw .malformed(
        "segments reach behind address 0x\(String(requirements.addressLimit, radix: 16))")
    }
    // A shared object need not have an entry.
    if isPIE, entry == 0 { return }
    guard
      loadable.contains(where: {
        $0.isExecutable && $0.address <= entry && entry &- $0.address < $0.memorySize
      })
    else {
      throw .malformed("entry 0x\(String(entry, radix: 16)) is not in an executable segment")
    }
  }
}

/// Little-endian fields of a byte array; zero outside it.
struct Fields {
  let bytes: [UInt8]
  init(_ bytes: [UInt8]) { self.bytes = bytes }

  private func value(_ offset: Int, _ size: Int) -> UInt64 {
    guard offset >= 0, offset <= bytes.count - size else { return 0 }
    var value: UInt64 = 0
    for index in 0..<size { value |= UInt64(bytes[offset + index]) << UInt64(index * 8) }
    return value
  }
  func u16(_ offset: Int) -> UInt16 { UInt16(truncatingIfNeeded: value(offset, 2)) }
  func u32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: value(offset, 4)) }
  func u64(_ offset: Int) -> UInt64 { value(offset, 8) }
}
