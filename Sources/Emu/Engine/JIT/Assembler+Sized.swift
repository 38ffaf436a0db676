/// Operations of the four widths: of an opcode for 16 bits and more the one for bytes is one less.
extension Assembler {
  /// op reg, rm, with operands of so many bytes.
  mutating func sized(_ op: UInt8, _ reg: HostRegister, _ rm: HostRegister, _ size: UInt8) {
    switch size {
    case 8: rr(op, reg, rm)
    case 4: rr(op, reg, rm, w: false)
    case 2:
      byte(0x66)
      rr(op, reg, rm, w: false)
    default: byteRegisters(op - 1, reg, rm)
    }
  }

  /// op rm, imm: the eight arithmetic operations, by their number.
  mutating func sized(_ group: UInt8, _ rm: HostRegister, imm: Int32, _ size: UInt8) {
    switch size {
    case 8: ri(group, rm, imm)
    case 4: ri(group, rm, imm, w: false)
    case 2:
      byte(0x66)
      byteGroup(0x81, group, rm)
      byte(UInt8(truncatingIfNeeded: imm))
      byte(UInt8(truncatingIfNeeded: imm >> 8))
    default:
      byteGroup(0x80, group, rm)
      byte(UInt8(truncatingIfNeeded: imm))
    }
  }

  /// op reg, rm of bytes; never AH and its like.
  mutating func byteRegisters(_ op: UInt8, _ reg: HostRegister, _ rm: HostRegister) {
    byte(0x40 | (reg >> 3 & 1) << 2 | (rm >> 3 & 1))
    byte(op)
    byte(0xc0 | (reg & 7) << 3 | (rm & 7))
  }

  /// An opcode with an immediate, which the caller adds.
  private mutating func byteGroup(_ op: UInt8, _ group: UInt8, _ rm: HostRegister) {
    byte(0x40 | (rm >> 3 & 1))
    byte(op)
    byte(0xc0 | group << 3 | (rm & 7))
  }

  /// Zero-extends to 64 bits; nothing for 8 bytes.
  mutating func zeroExtend(_ to: HostRegister, _ from: HostRegister, _ size: UInt8) {
    switch size {
    case 8: mov(to, from)
    case 4: rr(Alu.mov, to, from, w: false)
    case 2: rr0f(0xb7, to, from, w: false)
    default: rr0f(0xb6, to, from, w: false, byteRM: true)
    }
  }

  /// Sign-extends to 64 bits.
  mutating func signExtend(_ to: HostRegister, _ from: HostRegister, _ size: UInt8) {
    switch size {
    case 8: mov(to, from)
    case 4: rr(Alu.movsxd, to, from)
    case 2: rr0f(0xbf, to, from)
    default: rr0f(0xbe, to, from, byteRM: true)
    }
  }

  /// ah = SF, ZF, AF, PF and CF.
  mutating func loadFlags() { byte(0x9f) }

  /// eax = ah.
  mutating func highByte() {
    byte(0x0f)
    byte(0xb6)
    byte(0xc4)
  }
}
