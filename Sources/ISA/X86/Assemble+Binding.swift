import Assembly

/// A row's operands with what a statement says for each of them.
struct AsmBinding {
  /// Sizes and prefixes, and in the end every register.
  private(set) var insn: Insn
  /// The memory operand.
  private(set) var address: AsmAddress?
  /// Bytes of the memory operand as the row has it.
  private(set) var memorySize: UInt8 = 0
  /// Numbers behind the displacement.
  private(set) var values: [(Operand, AssemblyExpression)] = []
  private var needsREX = false
  private var hasHigh = false

  /// Binds them; `nil` where they are not the row's.
  init?(_ row: Row, _ operands: [AsmOperand], _ insn: Insn) {
    self.insn = insn
    self.insn.rmIsRegister = true
    // Strings' operands may be left out.
    if operands.isEmpty, row.traits.contains(.string) { return }
    guard operands.count == row.operands.count else { return nil }
    for (operand, given) in zip(row.operands, operands) {
      if given.memory != nil { self.insn.rmIsRegister = false }
      guard bind(operand, given) else { return nil }
    }
    if hasHigh, needsREX || usesExtended { return nil }
  }

  private var usesExtended: Bool {
    insn.prefixes.contains(.wide) || (insn.reg | insn.rm | insn.opcodeRegister) & 8 != 0
      || ((address?.base?.number ?? 0) | (address?.index?.number ?? 0)) & 8 != 0
  }

  private mutating func bind(_ operand: Operand, _ given: AsmOperand) -> Bool {
    var size = operand.type.bytes(insn)
    // A segment register takes the low half of a larger one too.
    if insn.op == .mov_to_seg, case .general(_, let given, _) = given, given >= 2 { size = given }
    switch (operand.place, given) {
    case (.rm, .general), (.rmRegister, .general): return general(given, size, \.rm)
    case (.reg, .general): return general(given, size, \.reg)
    case (.opcodeRegister, .general): return general(given, size, \.opcodeRegister)
    case (.vvvv, .general): return general(given, size, \.vvvv)
    case (.rm, .memory(let address)), (.vectorRm, .memory(let address)),
      (.mmxRm, .memory(let address)):
      return bind(address, size, vectorSize: 0)
    case (.memory, .memory(let address)):
      let isGather = operand.type == .vx || operand.type == .vd
      let wide = operand.type == .vx && insn.prefixes.contains(.vex256)
      return bind(address, size, vectorSize: isGather ? (wide ? 32 : 16) : 0)
    case (.immediate, .value(let value)), (.relative, .value(let value)):
      values.append((operand, value))
      return true
    case (.offset, .memory(let address)):
      guard fits(address, size), address.base == nil, address.index == nil, address.pcSize == 0
      else { return false }
      values.append((operand, address.displacement ?? .number(0)))
      return take(segment: address)
    case (.stringSource, .memory(let address)): return string(address, size, number: 6)
    case (.stringDestination, .memory(let address)):
      return address.segment == 0 && string(address, size, number: 7)
    case (.one, .value(let value)): return value.constant == 1
    case (.fixed, .general(let number, let bytes, false)):
      return number == operand.register && bytes == size
    case (.segment, .segment(let number)):
      insn.reg = number
      return true
    case (.fixedSegment, .segment(let number)): return number == operand.register
    case (.control, .control(let number)), (.debug, .debug(let number)):
      insn.reg = number
      return true
    case (.stack, .stack(let number)):
      insn.rm = number
      return true
    case (.stackTop, .stackTop): return true
    default: return bindVector(operand, given, size)
    }
  }

  private mutating func bindVector(
    _ operand: Operand, _ given: AsmOperand, _ size: UInt8
  ) -> Bool {
    switch (operand.place, given) {
    case (.mmxReg, .mmx(let number)): insn.reg = number
    case (.mmxRm, .mmx(let number)), (.mmxRmRegister, .mmx(let number)): insn.rm = number
    case (_, .vector(let number, let bytes)):
      guard bytes == (size == 32 ? 32 : 16) else { return false }
      switch operand.place {
      case .vectorReg: insn.reg = number
      case .vectorRm, .vectorRmRegister: insn.rm = number
      case .vectorVvvv: insn.vvvv = number
      case .vectorImmediate where operand.text == "XMM0": return number == 0
      case .vectorImmediate: values.append((operand, .number(UInt64(number))))
      default: return false
      }
    default: return false
    }
    return true
  }

  private mutating func general(
    _ given: AsmOperand, _ size: UInt8, _ field: WritableKeyPath<Insn, UInt8>
  ) -> Bool {
    guard case .general(let number, let bytes, let isHigh) = given, bytes == size else {
      return false
    }
    insn[keyPath: field] = number
    if bytes == 1 {
      if isHigh { hasHigh = true } else if (4..<8).contains(number) { needsREX = true }
    }
    return true
  }

  private func fits(_ address: AsmAddress, _ size: UInt8) -> Bool {
    address.size == 0 || address.size == size || size == 0
  }

  private mutating func take(segment address: AsmAddress) -> Bool {
    if address.segment != 0 { insn.prefixes.insert(address.segment == 0x64 ? .fs : .gs) }
    return true
  }

  private mutating func string(_ address: AsmAddress, _ size: UInt8, number: UInt8) -> Bool {
    guard fits(address, size), let base = address.base, base.number == number,
      address.index == nil, address.displacement == nil
    else { return false }
    memorySize = size
    if base.size == 4 { insn.prefixes.insert(.addressSize) }
    return take(segment: address)
  }

  private mutating func bind(_ address: AsmAddress, _ size: UInt8, vectorSize: UInt8) -> Bool {
    guard fits(address, size), self.address == nil else { return false }
    var address = address
    memorySize = size
    if address.pcSize != 0, address.base != nil || address.index != nil { return false }
    if vectorSize == 0 {
      if let base = address.base, let index = address.index {
        guard base.size == index.size, index.size < 16 else { return false }
        // The stack pointer is no index.
        if index.number == 4 {
          guard address.scale == 0, base.number != 4 else { return false }
          (address.base, address.index) = (index, base)
        }
      } else if let index = address.index, index.size >= 16 || index.number == 4 {
        return false
      }
    } else {
      guard let index = address.index, index.size == vectorSize else { return false }
    }
    if address.addressSize == 4 { insn.prefixes.insert(.addressSize) }
    self.address = address
    return take(segment: address)
  }

  /// The sizes that the displacement may have, the shortest first.
  var displacementSizes: [Int] {
    guard let address else { return [0] }
    guard address.pcSize == 0, let base = address.base else { return [4] }
    let canBeNone = base.number & 7 != 5
    guard let displacement = address.displacement else { return [canBeNone ? 0 : 1] }
    guard let number = displacement.constant else { return [1, 4] }
    return number == 0 && canBeNone ? [0] : [1, 4]
  }

  // MARK: Bytes

  /// Everything before displacement and immediates.
  func head(_ row: Row, _ displacementSize: Int, prefix: UInt8) -> [UInt8] {
    let match = row.match
    let base = address?.base?.number ?? 0
    let index = address?.index?.number ?? 0
    let rm = address != nil ? base : match.plus ? insn.opcodeRegister : insn.rm
    let (r, x, b) = (insn.reg & 8 != 0, index & 8 != 0, rm & 8 != 0)
    var bytes: [UInt8] = []
    if insn.prefixes.contains(.fs) { bytes.append(0x64) }
    if insn.prefixes.contains(.gs) { bytes.append(0x65) }
    if insn.prefixes.contains(.addressSize) { bytes.append(0x67) }
    if match.vex {
      vex(match, r, x, b, into: &bytes)
    } else {
      if insn.prefixes.contains(.operandSize) { bytes.append(0x66) }
      if insn.prefixes.contains(.repne) { bytes.append(0xf2) }
      if insn.prefixes.contains(.rep) { bytes.append(0xf3) }
      if prefix != 0 { bytes.append(prefix) }
      let wide = insn.prefixes.contains(.wide)
      if wide || r || x || b || needsREX {
        bytes.append(0x40 | (wide ? 8 : 0) | (r ? 4 : 0) | (x ? 2 : 0) | (b ? 1 : 0))
      }
      bytes += [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][match.map]
    }
    bytes.append(match.opcode | (match.plus ? insn.opcodeRegister & 7 : 0))
    guard match.hasModRM else { return bytes }
    if let fixed = match.fixedModRM { return bytes + [fixed] }
    let reg = (match.reg ?? insn.reg & 7) << 3
    guard let address else { return bytes + [0xc0 | reg | rm & 7] }
    return bytes + modRM(reg, address, displacementSize)
  }

  /// - SeeAlso: Intel SDM volume 2, 'The VEX Prefix'.
  private func vex(
    _ match: Match, _ r: Bool, _ x: Bool, _ b: Bool, into bytes: inout [UInt8]
  ) {
    let wide = insn.prefixes.contains(.wide)
    let pp: UInt8 =
      match.prefix == .p66 ? 1 : match.prefix == .pF3 ? 2 : match.prefix == .pF2 ? 3 : 0
    let last = (~insn.vvvv & 15) << 3 | (insn.prefixes.contains(.vex256) ? 4 : 0) | pp
    if match.map == 1, !wide, !x, !b {
      bytes += [0xc5, (r ? 0 : 0x80) | last]
    } else {
      let second = (r ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | UInt8(match.map)
      bytes += [0xc4, second, (wide ? 0x80 : 0) | last]
    }
  }

  /// - SeeAlso: Intel SDM volume 2, 'Addressing-Mode Encoding of ModR/M and SIB Bytes'.
  private func modRM(_ reg: UInt8, _ address: AsmAddress, _ displacementSize: Int) -> [UInt8] {
    if address.pcSize != 0 { return [reg | 5] }
    let mod: UInt8 = displacementSize == 0 ? 0 : displacementSize == 1 ? 0x40 : 0x80
    let scale = address.scale << 6
    guard let base = address.base else {
      return [reg | 4, scale | ((address.index?.number ?? 4) & 7) << 3 | 5]
    }
    if let index = address.index {
      return [mod | reg | 4, scale | (index.number & 7) << 3 | base.number & 7]
    }
    if base.number & 7 == 4 { return [mod | reg | 4, 0x24] }
    return [mod | reg | base.number & 7]
  }
}
