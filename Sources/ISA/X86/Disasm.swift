/// ``Insn`` to text, in Intel syntax.
public enum Disassembler {
  /// The row's name for it, prefixes that change its meaning included.
  public static func mnemonic(_ insn: Insn) -> String {
    let row = Encodings.row(insn)
    guard insn.op == .jrcxz else { return row.mnemonic }
    return ["jrcxz", "jecxz", "jcxz"][addressSize(insn) == 8 ? 0 : addressSize(insn) == 4 ? 1 : 2]
  }

  /// Bytes of an address.
  private static func addressSize(_ insn: Insn) -> UInt8 {
    insn.prefixes.contains(.narrow) ? 2 : insn.prefixes.contains(.addressSize) ? 4 : 8
  }

  /// The instruction at `pc`, which was decoded as such code.
  public static func text(_ insn: Insn, pc: UInt64, code: CodeSize = .wide) -> String {
    let row = Encodings.row(insn)
    var text = ""
    if insn.prefixes.contains(.lock) { text += "lock " }
    if row.traits.contains(.string) {
      let compares = insn.op == .cmps || insn.op == .scas
      if insn.prefixes.contains(.repne) { text += "repne " }
      if insn.prefixes.contains(.rep) { text += compares ? "repe " : "rep " }
    }
    // Only where other addresses in instructions are shorter it has a name of its own.
    let mnemonic = mnemonic(insn)
    text += code != .wide && mnemonic == "movabs" ? "mov" : mnemonic
    let operands = row.operands.map { operand($0, row, insn, pc, code) }
    return operands.isEmpty ? text : text + " " + operands.joined(separator: ", ")
  }

  private static func register(_ number: UInt8, _ size: UInt8, _ insn: Insn) -> String {
    Registers.name(number, size: size, rex: insn.prefixes.contains(.rex))
  }

  private static func vector(_ number: UInt8, _ size: UInt8) -> String {
    (size == 32 ? "ymm" : "xmm") + String(number & 15)
  }

  private static func operand(
    _ operand: Operand, _ row: Row, _ insn: Insn, _ pc: UInt64, _ code: CodeSize
  ) -> String {
    var size = operand.type.bytes(insn)
    switch operand.place {
    // Control registers have 64 bits elsewhere.
    case .rm, .rmRegister, .reg, .opcodeRegister, .fixed:
      if code != .wide, size == 8 { size = 4 }
    default: break
    }
    switch operand.place {
    case .memory where operand.type == .vx || operand.type == .vd:
      let wide = operand.type == .vx && insn.prefixes.contains(.vex256)
      return memory(insn, size, code, vectorIndex: wide ? 32 : 16)
    case .rm, .memory:
      return insn.rmIsRegister
        ? register(insn.rm, size, insn) : memory(insn, size == 0 ? 0 : size, code)
    case .rmRegister: return register(insn.rm, size, insn)
    case .reg: return register(insn.reg, size, insn)
    case .opcodeRegister: return register(insn.opcodeRegister, size, insn)
    case .vvvv: return register(insn.vvvv, size, insn)
    case .immediate: return immediate(operand, insn)
    case .relative:
      let target = pc &+ UInt64(insn.length) &+ UInt64(bitPattern: insn.imm)
      return hex(code == .wide ? target : target & 0xffff_ffff)
    case .offset:
      return pointer(size) + segment(insn, "[" + hex(UInt64(bitPattern: insn.disp)) + "]")
    case .stringSource:
      return pointer(size)
        + segment(insn, "[" + Registers.name(6, size: addressSize(insn), rex: true) + "]")
    case .stringDestination:
      return pointer(size) + "[" + Registers.name(7, size: addressSize(insn), rex: true) + "]"
    case .one: return "1"
    case .fixed: return Registers.name(operand.register, size: size, rex: true)
    case .segment:
      return ["es", "cs", "ss", "ds", "fs", "gs", "?", "?"][Int(insn.reg & 7)]
    case .vectorReg: return vector(insn.reg, size)
    case .vectorRm: return insn.rmIsRegister ? vector(insn.rm, size) : memory(insn, size, code)
    case .vectorRmRegister: return vector(insn.rm, size)
    case .vectorVvvv: return vector(insn.vvvv, size)
    case .vectorImmediate:
      return operand.text == "XMM0"
        ? "xmm0" : vector(UInt8(truncatingIfNeeded: insn.imm) >> 4, size)
    case .mmxReg: return "mm\(insn.reg & 7)"
    case .mmxRm: return insn.rmIsRegister ? "mm\(insn.rm & 7)" : memory(insn, size, code)
    case .mmxRmRegister: return "mm\(insn.rm & 7)"
    case .stack: return "st(\(insn.rm & 7))"
    case .stackTop: return "st"
    case .control: return "cr\(insn.reg)"
    case .debug: return "dr\(insn.reg)"
    case .fixedSegment:
      return ["es", "cs", "ss", "ds", "fs", "gs"][Int(operand.register % 6)]
    case .farPointer:
      return hex(UInt64(bitPattern: insn.disp)) + ":" + hex(UInt64(bitPattern: insn.imm))
    }
  }

  private static func immediate(_ operand: Operand, _ insn: Insn) -> String {
    let size: UInt64 = operand.type == .b ? 1 : operand.type == .w ? 2 : UInt64(insn.size)
    let value = UInt64(bitPattern: insn.imm) & (.max &>> (64 &- size &* 8))
    return hex(
      operand.type == .b && operand.place == .immediate && insn.op == .enter
        ? UInt64(insn.imm2) : value)
  }

  private static func pointer(_ size: UInt8) -> String {
    switch size {
    case 1: "byte ptr "
    case 2: "word ptr "
    case 4: "dword ptr "
    case 8: "qword ptr "
    case 10: "tbyte ptr "
    case 16: "xmmword ptr "
    case 32: "ymmword ptr "
    default: ""
    }
  }

  private static func segment(_ insn: Insn, _ text: String) -> String {
    let names: [(Prefixes, String)] = [
      (.fs, "fs:"), (.gs, "gs:"), (.es, "es:"), (.cs, "cs:"), (.ss, "ss:"), (.ds, "ds:"),
    ]
    return (names.first { insn.prefixes.contains($0.0) }?.1 ?? "") + text
  }

  private static func memory(
    _ insn: Insn, _ size: UInt8, _ code: CodeSize, vectorIndex: UInt8? = nil
  ) -> String {
    let addressSize = addressSize(insn)
    var parts: [String] = []
    if insn.base == Insn.rip {
      parts.append(addressSize == 8 ? "rip" : "eip")
    } else if insn.base != Insn.none {
      parts.append(Registers.name(insn.base, size: addressSize, rex: true))
    }
    if insn.index != Insn.none {
      let name =
        vectorIndex.map { vector(insn.index, $0) }
        ?? Registers.name(insn.index, size: addressSize, rex: true)
      parts.append(insn.scale == 0 ? name : "\(name)*\(1 << insn.scale)")
    }
    var text = parts.joined(separator: " + ")
    if parts.isEmpty {
      let disp = UInt64(bitPattern: insn.disp)
      text = hex(code == .wide ? disp : disp & (addressSize == 2 ? 0xffff : 0xffff_ffff))
    } else if insn.disp != 0 {
      text += insn.disp < 0 ? " - " + hex(insn.disp.magnitude) : " + " + hex(insn.disp.magnitude)
    }
    return pointer(size) + segment(insn, "[" + text + "]")
  }

  private static func hex(_ value: UInt64) -> String {
    value < 10 ? String(value) : "0x" + String(value, radix: 16)
  }
}
