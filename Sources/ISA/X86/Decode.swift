/// What became of some bytes.
public enum Decoded: Sendable {
  /// An instruction.
  case insn(Insn)
  /// The bytes are not an instruction: #UD. So many were looked at.
  case undefined(UInt8)
  /// More than fifteen bytes: #GP.
  case tooLong
  /// More bytes are needed to tell.
  case truncated
}

/// What bytes of code are read as: which operands and addresses they have by default.
///
/// The raw value is the ``CodeKind`` of traces.
public enum CodeSize: UInt8, Sendable {
  /// 64-bit code.
  case wide = 0
  /// 32-bit code, of protected or compatibility mode.
  case legacy
  /// 16-bit code, of real, protected or compatibility mode.
  case narrow
}

/// Bytes to ``Insn``.
///
/// - SeeAlso: Intel SDM volume 2, 'Instruction Format'.
public enum Decoder {
  /// The most bytes that an instruction may have.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'General-Protection Exception (#GP)'.
  public static let maxLength = 15

  /// Decodes the instruction at the start of `bytes`; rows of other features are not there.
  ///
  /// - Parameters:
  ///   - bytes: what there is.
  ///   - features: the features.
  ///   - code: of how many bits the code is.
  /// - Returns: what became of them.
  public static func decode(
    _ bytes: UnsafeBufferPointer<UInt8>, features: FeatureSet = .all, code: CodeSize = .wide
  ) -> Decoded {
    var reader = Reader(bytes: bytes, features: features, code: code)
    return reader.decode()
  }

  /// Decodes the instruction at the start of `bytes`.
  public static func decode(
    _ bytes: [UInt8], features: FeatureSet = .all, code: CodeSize = .wide
  ) -> Decoded {
    bytes.withUnsafeBufferPointer { decode($0, features: features, code: code) }
  }
}

/// Rows by map and opcode.
struct Tables: Sendable {
  /// For every opcode of the eight maps (the last four behind VEX) where its rows start in
  /// ``candidates``.
  private(set) var starts: [UInt16] = []
  private(set) var candidates: [UInt16] = []
  private(set) var modRM: [Bool] = []
  /// Of every row; those of 32-bit code stand behind the others.
  let info: [RowInfo]

  /// The rows of 64-bit code.
  static let shared = Tables(Encodings.allRows, from: 0)
  /// Those of 32-bit code.
  static let legacy = Tables(Encodings.legacyRows, from: Encodings.allRows.count, isLegacy: true)

  private init(_ first: [Row], from base: Int, isLegacy: Bool = false) {
    let all = Encodings.allRows + Encodings.legacyRows
    var numbered = Array(zip(base..., first))
    if isLegacy {
      numbered += zip(0..., Encodings.allRows).filter { !Encodings.longOnly.contains($0.1.op) }
    }
    var lists = [[UInt16]](repeating: [], count: 2048)
    for (index, row) in numbered {
      let key = (row.match.vex ? 1024 : 0) + row.match.map * 256 + Int(row.match.opcode)
      for low in 0..<(row.match.plus ? 8 : 1) { lists[key + low].append(UInt16(index)) }
    }
    for list in lists {
      starts.append(UInt16(candidates.count))
      candidates += list
      modRM.append(list.contains { all[Int($0)].match.hasModRM })
    }
    starts.append(UInt16(candidates.count))
    info = all.map { RowInfo($0) }
  }
}

/// An operand without its text.
struct OperandInfo: Sendable {
  var place = OperandPlace.one
  var type = OperandType.none
  var register: UInt8 = 0

  init() {}

  init(_ operand: Operand) {
    place = operand.place
    type = operand.type
    register = operand.register
  }

  /// Its bytes in an instruction.
  @inline(__always)
  func bytes(_ insn: Insn) -> UInt8 { type.bytes(insn) }
}

/// What the decoder needs of a row once it is chosen.
struct RowInfo: Sendable {
  var match: Match
  var op: Op
  var traits: Traits
  /// The bits of its features: with operands of up to 128 bits, and of 256.
  var feature: UInt64
  var wideFeature: UInt64
  /// What may switch it off.
  var unit: Unit
  /// Bytes of the immediate where the operand size does not matter.
  var fixedImmediate: UInt8 = 0
  /// How the immediate is extended and how large it is.
  var immediate: Immediate = .none
  var secondByte = false
  var lockable = false
  /// Has an operand of which the address stands in the instruction.
  var hasOffset: Bool { immediate == .offset }
  /// The status flags: read, and given a value.
  var tested: UInt64
  var written: UInt64
  var count: UInt8
  private var operands: (OperandInfo, OperandInfo, OperandInfo, OperandInfo)

  enum Immediate: UInt8, Sendable { case none, unsigned8, signed8, unsigned16, z, v, offset, far }

  init(_ row: Row) {
    match = row.match
    op = row.op
    traits = row.traits
    feature = FeatureSet.bit(row.feature)
    wideFeature = FeatureSet.bit(row.wideFeature)
    unit = Unit(row)
    tested = row.flags.tested
    written = row.flags.written
    for operand in row.operands {
      switch (operand.place, operand.type) {
      case (.immediate, .b), (.vectorImmediate, .x), (.vectorImmediate, .dq):
        if operand.text == "XMM0" { continue }
        if immediate == .none { immediate = .unsigned8 } else { secondByte = true }
      case (.immediate, .bs), (.relative, .b): immediate = .signed8
      case (.immediate, .w): immediate = .unsigned16
      case (.immediate, .z), (.relative, .z): immediate = .z
      case (.immediate, .v): immediate = .v
      case (.offset, _): immediate = .offset
      case (.farPointer, _): immediate = .far
      case (.immediate, _), (.relative, _): preconditionFailure(row.pattern)
      default: break
      }
    }
    let first = row.operands.first?.place
    lockable = row.traits.contains(.lock) && (first == .rm || first == .memory)
    let infos = row.operands.map { OperandInfo($0) }
    count = UInt8(infos.count)
    operands = (
      infos.first ?? OperandInfo(), infos.dropFirst().first ?? OperandInfo(),
      infos.dropFirst(2).first ?? OperandInfo(), infos.dropFirst(3).first ?? OperandInfo()
    )
  }

  @inline(__always)
  func isAnnounced(_ prefixes: Prefixes, _ features: UInt64) -> Bool {
    (prefixes.contains(.vex256) ? wideFeature : feature) & features != 0
  }

  @inline(__always)
  subscript(_ index: Int) -> OperandInfo {
    switch index {
    case 0: operands.0
    case 1: operands.1
    case 2: operands.2
    default: operands.3
    }
  }
}

private struct Reader {
  let bytes: UnsafeBufferPointer<UInt8>
  var at = 0
  var insn = Insn()
  var short = false
  var rex: UInt8 = 0

  let features: UInt64
  let isLegacy: Bool
  let isNarrow: Bool

  init(bytes: UnsafeBufferPointer<UInt8>, features: FeatureSet, code: CodeSize) {
    self.bytes = bytes
    self.features = features.bits
    isLegacy = code != .wide
    isNarrow = code == .narrow
    if isLegacy { insn.prefixes.insert(.addressSize) }
    if isNarrow { insn.prefixes.insert(.narrow) }
  }

  /// In 64-bit code four of the segment prefixes mean nothing; elsewhere the last one counts.
  @inline(__always)
  private mutating func readSegment(_ segment: Prefixes) {
    if isLegacy {
      insn.prefixes.subtract(.segments)
      insn.prefixes.insert(segment)
    }
  }

  /// The next byte; zero and `short` where there is none.
  @inline(__always)
  mutating func next() -> UInt8 {
    guard at < bytes.count && at < Decoder.maxLength else {
      short = true
      return 0
    }
    defer { at += 1 }
    return bytes[at]
  }

  var ended: Decoded { at >= Decoder.maxLength ? .tooLong : .truncated }
  var undefined: Decoded { .undefined(UInt8(truncatingIfNeeded: at)) }

  /// Everything in front of the opcode.
  ///
  /// - Returns: the first byte behind the prefixes.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'Instruction Prefixes' and 'REX Prefixes'.
  mutating func readPrefixes() -> UInt8 {
    while true {
      let byte = next()
      if short { return 0 }
      switch byte {
      case 0x66: insn.prefixes.insert(.operandSize)
      case 0x67 where isNarrow: insn.prefixes.remove(.narrow)
      case 0x67: insn.prefixes.insert(isLegacy ? .narrow : .addressSize)
      case 0xf0: insn.prefixes.insert(.lock)
      case 0xf2:
        insn.prefixes.remove(.rep)
        insn.prefixes.insert(.repne)
      case 0xf3:
        insn.prefixes.remove(.repne)
        insn.prefixes.insert(.rep)
      case 0x26: readSegment(.es)
      case 0x2e: readSegment(.cs)
      case 0x36: readSegment(.ss)
      case 0x3e: readSegment(.ds)
      case 0x64:
        readSegment(.fs)
        insn.prefixes.remove(.gs)
        insn.prefixes.insert(.fs)
      case 0x65:
        readSegment(.gs)
        insn.prefixes.remove(.fs)
        insn.prefixes.insert(.gs)
      case 0x40...0x4f where !isLegacy:
        rex = byte
        continue
      default: return byte
      }
      // A REX that is not right in front of the opcode counts for nothing.
      rex = 0
    }
  }

  /// - SeeAlso: Intel SDM volume 2, 'The VEX Prefix'.
  mutating func readVEX(_ first: UInt8) -> Int? {
    if rex != 0 || !insn.prefixes.isDisjoint(with: [.operandSize, .rep, .repne, .lock]) {
      return nil
    }
    insn.prefixes.insert(.vex)
    let second = next()
    var last = second
    var map = 1
    rex = second & 0x80 == 0 ? 4 : 0
    if first == 0xc4 {
      last = next()
      rex |= (second & 0x40 == 0 ? 2 : 0) | (second & 0x20 == 0 ? 1 : 0)
      map = Int(second & 0x1f)
      if last & 0x80 != 0 { insn.prefixes.insert(.wide) }
    }
    insn.vvvv = ~(last >> 3) & 15
    if last & 4 != 0 { insn.prefixes.insert(.vex256) }
    switch last & 3 {
    case 1: insn.prefixes.insert(.operandSize)
    case 2: insn.prefixes.insert(.rep)
    case 3: insn.prefixes.insert(.repne)
    default: break
    }
    return (1...3).contains(map) ? 4 + map : nil
  }

  /// In 32-bit code C4 and C5 are LES and LDS with an operand in memory.
  private func isVEX() -> Bool { at < bytes.count && bytes[at] >= 0xc0 }

  mutating func decode() -> Decoded {
    var opcode = readPrefixes()
    var map = 0
    if !short, opcode == 0xc4 || opcode == 0xc5, !isLegacy || isVEX() {
      guard let found = readVEX(opcode) else { return short ? ended : undefined }
      map = found
      opcode = next()
    } else {
      if rex != 0 {
        insn.prefixes.insert(.rex)
        if rex & 8 != 0 { insn.prefixes.insert(.wide) }
      }
      if opcode == 0x0f {
        map = 1
        opcode = next()
        if opcode == 0x38 || opcode == 0x3a {
          map = opcode == 0x38 ? 2 : 3
          opcode = next()
        }
      }
    }
    if short { return ended }
    insn.opcode = opcode
    let key = map * 256 + Int(opcode)
    let tables = isLegacy ? Tables.legacy : Tables.shared
    let first = Int(tables.starts[key])
    let end = Int(tables.starts[key + 1])
    guard first < end else { return undefined }
    var modRM: UInt8 = 0
    if tables.modRM[key] {
      modRM = next()
      if short { return ended }
    }
    for index in first..<end {
      let row = tables.candidates[index]
      let size = tables.info.withUnsafeBufferPointer { operandSize($0[Int(row)].traits) }
      let found = tables.info.withUnsafeBufferPointer {
        $0[Int(row)].isAnnounced(insn.prefixes, features)
          && $0[Int(row)].match.matches(insn.prefixes, rex, modRM, size, insn.vvvv)
      }
      if found {
        insn.row = row
        insn.size = size
        return tables.info.withUnsafeBufferPointer { finish($0[Int(row)], modRM) }
      }
    }
    return undefined
  }

  /// - SeeAlso: Intel SDM volume 1, 'Operand Size and Address Size in 64-Bit Mode'.
  @inline(__always)
  private func operandSize(_ traits: Traits) -> UInt8 {
    if isLegacy { return insn.prefixes.contains(.operandSize) != isNarrow ? 2 : 4 }
    if traits.contains(.force64) || insn.prefixes.contains(.wide) { return 8 }
    if insn.prefixes.contains(.operandSize) { return 2 }
    return traits.contains(.default64) ? 8 : 4
  }

  private mutating func finish(_ row: RowInfo, _ modRM: UInt8) -> Decoded {
    insn.op = row.op
    insn.opcodeRegister = insn.opcode & 7 | (rex & 1) << 3
    if row.match.hasModRM {
      insn.modRM = modRM
      insn.reg = (modRM >> 3) & 7 | (rex & 4) << 1
      if row.match.fixedModRM != nil {
        insn.rmIsRegister = true
      } else if modRM >= 0xc0 {
        insn.rmIsRegister = true
        insn.rm = modRM & 7 | (rex & 1) << 3
      } else {
        readAddress(modRM, row.match.vectorIndex)
      }
    }
    readImmediate(row)
    if short { return ended }
    insn.length = UInt8(truncatingIfNeeded: at)
    if insn.prefixes.contains(.lock), !row.lockable || !insn.hasMemory { return undefined }
    return .insn(insn)
  }

  /// - SeeAlso: Intel SDM volume 2, 'Addressing-Mode Encoding of ModR/M and SIB Bytes' and
  ///   'RIP-Relative Addressing'.
  private mutating func readAddress(_ modRM: UInt8, _ vectorIndex: Bool) {
    insn.hasMemory = true
    let mod = modRM >> 6
    if insn.prefixes.contains(.narrow) { return readNarrowAddress(modRM) }
    var base = modRM & 7
    var wide = mod == 2
    if base == 4 {
      let sib = next()
      let index = (sib >> 3) & 7 | (rex & 2) << 2
      if index != 4 || vectorIndex { insn.index = index }
      insn.scale = sib >> 6
      base = sib & 7
      if base == 5 && mod == 0 {
        wide = true
      } else {
        insn.base = base | (rex & 1) << 3
      }
    } else if base == 5 && mod == 0 {
      if !isLegacy { insn.base = Insn.rip }
      wide = true
    } else {
      insn.base = base | (rex & 1) << 3
    }
    insn.dispOffset = UInt8(truncatingIfNeeded: at)
    if wide {
      insn.dispSize = 4
      insn.disp = Int64(Int32(truncatingIfNeeded: read(4)))
    } else if mod == 1 {
      insn.dispSize = 1
      insn.disp = Int64(Int8(bitPattern: next()))
    }
  }

  /// - SeeAlso: Intel SDM volume 2, '16-Bit Addressing Forms with the ModR/M Byte'.
  private mutating func readNarrowAddress(_ modRM: UInt8) {
    let mod = modRM >> 6
    // BX+SI, BX+DI, BP+SI, BP+DI, SI, DI, BP, BX.
    let bases: [UInt8] = [3, 3, 5, 5, 6, 7, 5, 3]
    let indices: [UInt8] = [6, 7, 6, 7]
    let isPlain = modRM & 7 == 6 && mod == 0
    if !isPlain {
      insn.base = bases[Int(modRM & 7)]
      if modRM & 7 < 4 { insn.index = indices[Int(modRM & 7)] }
    }
    insn.dispOffset = UInt8(truncatingIfNeeded: at)
    if isPlain || mod == 2 {
      insn.dispSize = 2
      insn.disp = Int64(Int16(truncatingIfNeeded: read(2)))
    } else if mod == 1 {
      insn.dispSize = 1
      insn.disp = Int64(Int8(bitPattern: next()))
    }
  }

  private mutating func read(_ count: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(next()) << UInt64(index * 8) }
    return value
  }

  private mutating func readImmediate(_ row: RowInfo) {
    insn.immOffset = UInt8(truncatingIfNeeded: at)
    switch row.immediate {
    case .none: return
    case .unsigned8: insn.imm = Int64(next())
    case .signed8: insn.imm = Int64(Int8(bitPattern: next()))
    case .unsigned16: insn.imm = Int64(read(2))
    case .z:
      insn.imm =
        insn.size == 2
        ? Int64(Int16(truncatingIfNeeded: read(2))) : Int64(Int32(truncatingIfNeeded: read(4)))
    case .v:
      switch insn.size {
      case 2: insn.imm = Int64(read(2))
      case 4: insn.imm = Int64(read(4))
      default: insn.imm = Int64(bitPattern: read(8))
      }
    case .far:
      insn.imm = Int64(read(insn.size == 2 ? 2 : 4))
      insn.disp = Int64(read(2))
    case .offset where insn.prefixes.contains(.narrow): insn.disp = Int64(read(2))
    case .offset:
      insn.disp =
        insn.prefixes.contains(.addressSize) ? Int64(read(4)) : Int64(bitPattern: read(8))
    }
    if row.secondByte { insn.imm2 = next() }
  }
}
