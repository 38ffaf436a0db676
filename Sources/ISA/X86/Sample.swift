/// Random instructions of a row.
extension Row {
  /// The bytes of a random instruction of this row: prefixes, operand sizes, registers and addressing
  /// forms as they come.
  ///
  /// - Parameters:
  ///   - rng: what it grows from.
  ///   - allPrefixes: also a LOCK that is refused and prefixes that mean nothing.
  /// - Returns: the bytes; of a row with many prefixes more than fifteen at times.
  public func sample(
    using rng: inout some RandomNumberGenerator, allPrefixes: Bool = true
  ) -> [UInt8] {
    func once(in n: Int) -> Bool { Int.random(in: 0..<n, using: &rng) == 0 }
    let sized = operands.contains { [.v, .z, .bs].contains($0.type) }
    let wideable = sized || operands.contains { $0.type == .y }
    let memoryOperand = operands.contains {
      [.rm, .memory, .vectorRm, .mmxRm].contains($0.place)
    }
    var inRegister = match.form == .register || !memoryOperand
    if memoryOperand, match.form == .any { inRegister = once(in: 2) }
    var wide = match.wide == 2 || match.size == 8 && !traits.contains(.default64)
    var short = match.size == 2
    if match.size == 0, match.wide == 0 {
      if sized && !match.vex && !traits.contains(.force64) && match.prefix != .p66
        && match.prefix != .none
      {
        short = once(in: 4)
      }
      if wideable { wide = once(in: 2) }
    }
    var legacy: [UInt8] = []
    if short || match.prefix == .p66 { legacy.append(0x66) }
    if match.prefix == .pF2 { legacy.append(0xf2) }
    if match.prefix == .pF3 { legacy.append(0xf3) }
    let addresses =
      memoryOperand && !inRegister || traits.contains(.string)
      || operands.contains { $0.place == .offset } || op == .xlat
    if addresses || op == .jrcxz || op == .loop || op == .loope || op == .loopne {
      if once(in: 16) { legacy.append(0x67) }
      if once(in: 16) { legacy.append(once(in: 2) ? 0x64 : 0x65) }
    }
    if allPrefixes, once(in: 64), traits.isDisjoint(with: .branch) {
      legacy.append([0x26, 0x2e, 0x36, 0x3e].randomElement(using: &rng) ?? 0x3e)
    }
    if traits.contains(.string), op != .ins, op != .outs, once(in: 2) {
      legacy.append(once(in: 2) ? 0xf2 : 0xf3)
    }
    if !match.vex {
      let first = operands.first?.place
      if traits.contains(.lock), !inRegister, allPrefixes || first == .rm || first == .memory,
        once(in: 5)
      {
        legacy.append(0xf0)
      }
      if allPrefixes, once(in: 200) { legacy.append(0xf0) }
    }
    legacy.shuffle(using: &rng)
    var bytes = match.vex ? legacy.filter { $0 == 0x64 || $0 == 0x65 || $0 == 0x67 } : legacy
    appendOpcode(&bytes, wide: wide, using: &rng)
    if match.hasModRM { appendModRM(&bytes, inRegister: inRegister, using: &rng) }
    appendImmediates(&bytes, wide: wide, short: short, legacy.contains(0x67), using: &rng)
    return bytes
  }

  private func appendOpcode(
    _ bytes: inout [UInt8], wide: Bool, using rng: inout some RandomNumberGenerator
  ) {
    let bits = UInt8.random(in: 0..<8, using: &rng)
    var opcode = match.opcode
    if match.plus { opcode += UInt8.random(in: 0..<8, using: &rng) }
    if match.vex {
      let vvvv = match.usesVvvv ? UInt8.random(in: 0..<16, using: &rng) : 0
      let pp: UInt8 =
        match.prefix == .p66 ? 1 : match.prefix == .pF3 ? 2 : match.prefix == .pF2 ? 3 : 0
      let long = match.vexL == 2 || match.vexL == 0 && Bool.random(using: &rng)
      let last = (~vvvv & 15) << 3 | (long ? 4 : 0) | pp
      if match.map == 1, !wide, bits & 3 == 0, Bool.random(using: &rng) {
        bytes += [0xc5, (bits & 4 == 0 ? 0x80 : 0) | last, opcode]
      } else {
        bytes += [0xc4, (~bits & 7) << 5 | UInt8(match.map), last | (wide ? 0x80 : 0), opcode]
      }
      return
    }
    let some = UInt8.random(in: 0..<2, using: &rng) == 0
    if wide || some {
      bytes.append(0x40 | (wide ? 8 : 0) | (some ? bits & (match.noB ? 6 : 7) : 0))
    }
    switch match.map {
    case 0: bytes.append(opcode)
    case 1: bytes += [0x0f, opcode]
    case 2: bytes += [0x0f, 0x38, opcode]
    default: bytes += [0x0f, 0x3a, opcode]
    }
  }

  private func appendModRM(
    _ bytes: inout [UInt8], inRegister: Bool, using rng: inout some RandomNumberGenerator
  ) {
    if let fixed = match.fixedModRM { return bytes.append(fixed) }
    var modRM = UInt8.random(in: 0...255, using: &rng)
    if let reg = match.reg { modRM = modRM & 0xc7 | reg << 3 }
    if inRegister {
      bytes.append(modRM | 0xc0)
      return
    }
    if match.vectorIndex { modRM = modRM & 0xf8 | 4 }
    if modRM >= 0xc0 { modRM &= UInt8.random(in: 0..<3, using: &rng) << 6 | 0x3f }
    bytes.append(modRM)
    let mod = modRM >> 6
    var base = modRM & 7
    if base == 4 {
      let sib = UInt8.random(in: 0...255, using: &rng)
      bytes.append(sib)
      base = sib & 7
      // Without a base.
      if base == 5 && mod == 0 { return appendRandom(&bytes, 4, using: &rng) }
    } else if base == 5 && mod == 0 {
      return appendRandom(&bytes, 4, using: &rng)
    }
    if mod == 1 { appendRandom(&bytes, 1, using: &rng) }
    if mod == 2 { appendRandom(&bytes, 4, using: &rng) }
  }

  private func appendRandom(
    _ bytes: inout [UInt8], _ count: Int, using rng: inout some RandomNumberGenerator
  ) {
    let kind = Int.random(in: 0..<6, using: &rng)
    for index in 0..<count {
      let byte = UInt8.random(in: 0...255, using: &rng)
      switch kind {
      case 0: bytes.append(index == 0 ? byte : 0)
      case 1: bytes.append(index == 0 ? byte : 0xff)
      case 2: bytes.append([0, 0x7f, 0x80, 0xff].randomElement(using: &rng) ?? 0)
      default: bytes.append(byte)
      }
    }
  }

  private func appendImmediates(
    _ bytes: inout [UInt8], wide: Bool, short: Bool, _ shortAddress: Bool,
    using rng: inout some RandomNumberGenerator
  ) {
    for operand in operands {
      switch (operand.place, operand.type) {
      case (.immediate, .b), (.immediate, .bs), (.relative, .b):
        appendRandom(&bytes, 1, using: &rng)
      case (.vectorImmediate, _):
        if operand.text != "XMM0" { appendRandom(&bytes, 1, using: &rng) }
      case (.immediate, .w): appendRandom(&bytes, 2, using: &rng)
      case (.immediate, .z), (.relative, .z):
        let two = short && !wide && !traits.contains(.force64)
        appendRandom(&bytes, two ? 2 : 4, using: &rng)
      case (.immediate, .v): appendRandom(&bytes, wide ? 8 : short ? 2 : 4, using: &rng)
      case (.offset, _): appendRandom(&bytes, shortAddress ? 4 : 8, using: &rng)
      default: break
      }
    }
  }
}
