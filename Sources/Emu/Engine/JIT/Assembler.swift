/// A general register of an x86-64 host, by its number in encodings.
typealias HostRegister = UInt8

/// The registers that have a name in the translator.
enum Host {
  static let rax: HostRegister = 0
  static let rcx: HostRegister = 1
  static let rdx: HostRegister = 2
  static let rbx: HostRegister = 3
  static let rsp: HostRegister = 4
  static let rbp: HostRegister = 5
  static let rsi: HostRegister = 6
  static let rdi: HostRegister = 7
  static let r14: HostRegister = 14
  static let r15: HostRegister = 15
}

/// Opcodes of the form "register, register or memory" that the translator names.
enum Alu {
  static let add: UInt8 = 0x03
  static let or: UInt8 = 0x0b
  static let and: UInt8 = 0x23
  static let sub: UInt8 = 0x2b
  static let xor: UInt8 = 0x33
  static let cmp: UInt8 = 0x3b
  static let mov: UInt8 = 0x8b
  static let movsxd: UInt8 = 0x63
  /// What the forms with an immediate have in their modrm byte.
  static func group(_ opcode: UInt8) -> UInt8 { opcode >> 3 }
}

/// Condition codes as encoded.
enum Condition {
  static let below: UInt8 = 2
  static let aboveOrEqual: UInt8 = 3
  static let equal: UInt8 = 4
  static let notEqual: UInt8 = 5
  static let belowOrEqual: UInt8 = 6
  static let above: UInt8 = 7
  static let sign: UInt8 = 8
  static let notSign: UInt8 = 9
  static let parity: UInt8 = 10
  static let notParity: UInt8 = 11
  static let less: UInt8 = 12
  static let greaterOrEqual: UInt8 = 13
  static let lessOrEqual: UInt8 = 14
  static let greater: UInt8 = 15
}

/// Writes x86-64 instructions at `p`, which the caller keeps within its buffer.
///
/// - SeeAlso: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter
///   'Instruction Format'.
struct Assembler {
  var p: UnsafeMutablePointer<UInt8>

  @inline(__always)
  mutating func byte(_ value: UInt8) {
    p.pointee = value
    p += 1
  }

  @inline(__always)
  mutating func int32(_ value: Int32) {
    UnsafeMutableRawPointer(p).storeBytes(of: value, as: Int32.self)
    p += 4
  }

  @inline(__always)
  mutating func int64(_ value: Int64) {
    UnsafeMutableRawPointer(p).storeBytes(of: value, as: Int64.self)
    p += 8
  }

  /// The REX prefix, where one is needed or `force`d (byte registers).
  @inline(__always)
  private mutating func rex(
    _ w: Bool, _ reg: UInt8, _ index: UInt8, _ rm: UInt8, force: Bool = false
  ) {
    let value = (w ? 8 : 0) | (reg >> 3 & 1) << 2 | (index >> 3 & 1) << 1 | (rm >> 3 & 1)
    if value != 0 || force { byte(0x40 | value) }
  }

  @inline(__always)
  private mutating func modrm(_ mode: UInt8, _ reg: UInt8, _ rm: UInt8) {
    byte(mode << 6 | (reg & 7) << 3 | (rm & 7))
  }

  /// modrm, SIB and displacement of [base + disp].
  private mutating func memory(_ reg: UInt8, _ base: UInt8, _ disp: Int32) {
    let short = disp == Int32(Int8(truncatingIfNeeded: disp))
    let mode: UInt8 = disp == 0 && base & 7 != 5 ? 0 : short ? 1 : 2
    modrm(mode, reg, base)
    if base & 7 == 4 { byte(0x24) }
    if mode == 1 { byte(UInt8(truncatingIfNeeded: disp)) }
    if mode == 2 { int32(disp) }
  }

  /// modrm, SIB and displacement of [base + index << scale + disp].
  private mutating func memory(
    _ reg: UInt8, _ base: UInt8, _ index: UInt8, _ scale: UInt8, _ disp: Int32
  ) {
    let short = disp == Int32(Int8(truncatingIfNeeded: disp))
    let mode: UInt8 = disp == 0 && base & 7 != 5 ? 0 : short ? 1 : 2
    modrm(mode, reg, 4)
    byte(scale << 6 | (index & 7) << 3 | (base & 7))
    if mode == 1 { byte(UInt8(truncatingIfNeeded: disp)) }
    if mode == 2 { int32(disp) }
  }

  // MARK: One-byte opcodes

  /// op reg, rm.
  mutating func rr(_ op: UInt8, _ reg: HostRegister, _ rm: HostRegister, w: Bool = true) {
    rex(w, reg, 0, rm)
    byte(op)
    modrm(3, reg, rm)
  }

  /// op reg, [base + disp].
  mutating func rm(
    _ op: UInt8, _ reg: HostRegister, _ base: HostRegister, _ disp: Int32, w: Bool = true
  ) {
    rex(w, reg, 0, base)
    byte(op)
    memory(reg, base, disp)
  }

  /// op reg, [base + index << scale + disp].
  mutating func rx(
    _ op: UInt8, _ reg: HostRegister, _ base: HostRegister, _ index: HostRegister,
    scale: UInt8 = 0, _ disp: Int32, w: Bool = true
  ) {
    rex(w, reg, index, base)
    byte(op)
    memory(reg, base, index, scale, disp)
  }

  /// op rm, imm: the eight arithmetic operations, by their number.
  mutating func ri(_ group: UInt8, _ rm: HostRegister, _ imm: Int32, w: Bool = true) {
    rex(w, 0, 0, rm)
    if imm == Int32(Int8(truncatingIfNeeded: imm)) {
      byte(0x83)
      modrm(3, group, rm)
      byte(UInt8(truncatingIfNeeded: imm))
    } else {
      byte(0x81)
      modrm(3, group, rm)
      int32(imm)
    }
  }

  /// op qword [base + disp], imm.
  mutating func mi(_ group: UInt8, _ base: HostRegister, _ disp: Int32, imm: Int8) {
    rex(true, 0, 0, base)
    byte(0x83)
    memory(group, base, disp)
    byte(UInt8(bitPattern: imm))
  }

  mutating func mov(_ to: HostRegister, _ from: HostRegister) {
    if to != from { rr(Alu.mov, to, from) }
  }

  mutating func load(_ to: HostRegister, _ base: HostRegister, _ disp: Int32, w: Bool = true) {
    rm(Alu.mov, to, base, disp, w: w)
  }

  mutating func store(_ from: HostRegister, _ base: HostRegister, _ disp: Int32) {
    rm(0x89, from, base, disp)
  }

  /// mov qword [base + disp], imm.
  mutating func storeImmediate(_ base: HostRegister, _ disp: Int32, _ imm: Int32) {
    rex(true, 0, 0, base)
    byte(0xc7)
    memory(0, base, disp)
    int32(imm)
  }

  mutating func lea(_ to: HostRegister, _ base: HostRegister, _ disp: Int32, w: Bool = true) {
    rm(0x8d, to, base, disp, w: w)
  }

  /// The shortest move of a constant; changes the flags for zero.
  mutating func constant(_ to: HostRegister, _ value: Int64) {
    if value == 0 {
      rr(Alu.xor, to, to, w: false)
    } else {
      constantKeepingFlags(to, value)
    }
  }

  mutating func constantKeepingFlags(_ to: HostRegister, _ value: Int64) {
    if value == Int64(UInt32(truncatingIfNeeded: value)) {
      rex(false, 0, 0, to)
      byte(0xb8 | to & 7)
      int32(Int32(truncatingIfNeeded: value))
    } else if value == Int64(Int32(truncatingIfNeeded: value)) {
      rex(true, 0, 0, to)
      byte(0xc7)
      modrm(3, 0, to)
      int32(Int32(truncatingIfNeeded: value))
    } else {
      rex(true, 0, 0, to)
      byte(0xb8 | to & 7)
      int64(value)
    }
  }

  /// Shifts and rotations by a constant: 0 rol, 1 ror, 4 shl, 5 shr, 7 sar.
  mutating func shift(_ group: UInt8, _ rm: HostRegister, _ count: UInt8, w: Bool = true) {
    rex(w, 0, 0, rm)
    byte(0xc1)
    modrm(3, group, rm)
    byte(count)
  }

  /// The same by cl.
  mutating func shiftCL(_ group: UInt8, _ rm: HostRegister, w: Bool = true) {
    rex(w, 0, 0, rm)
    byte(0xd3)
    modrm(3, group, rm)
  }

  /// Group 3: 2 not, 3 neg, 4 mul, 5 imul, 6 div, 7 idiv.
  mutating func group3(_ group: UInt8, _ rm: HostRegister, w: Bool = true) {
    rex(w, 0, 0, rm)
    byte(0xf7)
    modrm(3, group, rm)
  }

  mutating func test(_ a: HostRegister, _ b: HostRegister, w: Bool = true) {
    rr(0x85, a, b, w: w)
  }

  mutating func testImmediate(_ rm: HostRegister, _ imm: Int32, w: Bool = false) {
    rex(w, 0, 0, rm)
    byte(0xf7)
    modrm(3, 0, rm)
    int32(imm)
  }

  /// imul to, rm, imm.
  mutating func imul(_ to: HostRegister, _ rm: HostRegister, imm: Int32, w: Bool = true) {
    rr(0x69, to, rm, w: w)
    int32(imm)
  }

  // MARK: Two-byte opcodes

  /// 0f op reg, rm; `prefix` 0 for none.
  mutating func rr0f(
    _ op: UInt8, _ reg: UInt8, _ rm: UInt8, w: Bool = true, prefix: UInt8 = 0, byteRM: Bool = false
  ) {
    if prefix != 0 { byte(prefix) }
    rex(w, reg, 0, rm, force: byteRM)
    byte(0x0f)
    byte(op)
    modrm(3, reg, rm)
  }

  /// 0f op reg, [base + disp].
  mutating func rm0f(
    _ op: UInt8, _ reg: UInt8, _ base: HostRegister, _ disp: Int32, w: Bool = true,
    prefix: UInt8 = 0
  ) {
    if prefix != 0 { byte(prefix) }
    rex(w, reg, 0, base)
    byte(0x0f)
    byte(op)
    memory(reg, base, disp)
  }

  mutating func set(_ condition: UInt8, _ rm: HostRegister) {
    rex(false, 0, 0, rm, force: true)
    byte(0x0f)
    byte(0x90 | condition)
    modrm(3, 0, rm)
  }

  /// btr, bts, btc, bt by a constant: 6, 5, 7, 4.
  mutating func bit(_ group: UInt8, _ rm: HostRegister, _ number: UInt8) {
    rex(true, 0, 0, rm)
    byte(0x0f)
    byte(0xba)
    modrm(3, group, rm)
    byte(number)
  }

  mutating func bswap(_ reg: HostRegister) {
    rex(true, 0, 0, reg)
    byte(0x0f)
    byte(0xc8 | reg & 7)
  }

  /// 0f op reg, [base + index << scale + disp].
  mutating func rx0f(
    _ op: UInt8, _ reg: UInt8, _ base: HostRegister, _ index: HostRegister, scale: UInt8 = 0,
    _ disp: Int32, w: Bool = true, prefix: UInt8 = 0
  ) {
    if prefix != 0 { byte(prefix) }
    rex(w, reg, index, base)
    byte(0x0f)
    byte(op)
    memory(reg, base, index, scale, disp)
  }

  mutating func storeByte(
    _ from: HostRegister, _ base: HostRegister, _ index: HostRegister, scale: UInt8, _ disp: Int32
  ) {
    rex(false, from, index, base, force: true)
    byte(0x88)
    memory(from, base, index, scale, disp)
  }

  mutating func storeHalf(
    _ from: HostRegister, _ base: HostRegister, _ index: HostRegister, scale: UInt8, _ disp: Int32
  ) {
    byte(0x66)
    rx(0x89, from, base, index, scale: scale, disp, w: false)
  }

  /// stmxcsr [base + disp].
  mutating func storeFloatState(_ base: HostRegister, _ disp: Int32) {
    rm0f(0xae, 3, base, disp, w: false)
  }

  /// ldmxcsr [target], which is near the code.
  mutating func loadFloatState(_ target: UnsafeMutablePointer<UInt8>) {
    rip0f(0xae, 2, target, w: false)
  }

  /// op reg, [target], which is near the code.
  mutating func rip(_ op: UInt8, _ reg: HostRegister, _ target: UnsafeMutablePointer<UInt8>) {
    rex(true, reg, 0, 0)
    byte(op)
    modrm(0, reg, 5)
    int32(Int32(truncatingIfNeeded: target - (p + 4)))
  }

  /// 0f op reg, [target].
  mutating func rip0f(
    _ op: UInt8, _ reg: HostRegister, _ target: UnsafeMutablePointer<UInt8>, w: Bool = true
  ) {
    rex(w, reg, 0, 0)
    byte(0x0f)
    byte(op)
    modrm(0, reg, 5)
    int32(Int32(truncatingIfNeeded: target - (p + 4)))
  }

  mutating func push(_ reg: HostRegister) {
    rex(false, 0, 0, reg)
    byte(0x50 | reg & 7)
  }

  mutating func pop(_ reg: HostRegister) {
    rex(false, 0, 0, reg)
    byte(0x58 | reg & 7)
  }

  mutating func ret() { byte(0xc3) }

  /// call reg, or jmp reg: 2, 4.
  mutating func indirect(_ group: UInt8, _ reg: HostRegister) {
    rex(false, 0, 0, reg)
    byte(0xff)
    modrm(3, group, reg)
  }

  /// call [base + disp], or jmp: 2, 4.
  mutating func indirect(_ group: UInt8, _ base: HostRegister, _ disp: Int32) {
    rex(false, 0, 0, base)
    byte(0xff)
    memory(group, base, disp)
  }

  /// A three-operand VEX instruction of the 0f38 map: multiply-add, shifts; `prefix` 1 for 66, 2 for
  /// f3, 3 for f2.
  mutating func vex38(
    _ op: UInt8, _ reg: UInt8, _ second: UInt8, _ rm: UInt8, w: Bool, prefix: UInt8 = 1
  ) {
    byte(0xc4)
    byte((reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | 2)
    byte((w ? 0x80 : 0) | (~second & 15) << 3 | prefix)
    byte(op)
    modrm(3, reg, rm)
  }

  /// A three-operand VEX instruction of the 0f map; `prefix` 2 for f3, 3 for f2.
  mutating func vex0f(_ op: UInt8, _ reg: UInt8, _ second: UInt8, _ rm: UInt8, prefix: UInt8) {
    byte(0xc4)
    byte((reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | 1)
    byte((~second & 15) << 3 | prefix)
    byte(op)
    modrm(3, reg, rm)
  }

  /// The low bits of `rm` shifted right by a constant; the flags are lost.
  ///
  /// With BMI2 what leaves at the right comes in at the left of 64 bits.
  mutating func shiftedRight(_ reg: UInt8, _ rm: UInt8, _ count: UInt8, bmi2: Bool) {
    if bmi2 { return rorx(reg, rm, count) }
    mov(reg, rm)
    shift(5, reg, count)
  }

  /// rorx: a rotated copy.
  mutating func rorx(_ reg: UInt8, _ rm: UInt8, _ count: UInt8) {
    byte(0xc4)
    byte((reg < 8 ? 0x80 : 0) | 0x40 | (rm < 8 ? 0x20 : 0) | 3)
    byte(0xfb)
    byte(0xf0)
    modrm(3, reg, rm)
    byte(count)
  }

  // MARK: Jumps

  /// jmp, call or jcc to where nobody knows yet.
  ///
  /// - Returns: where the displacement is.
  mutating func jmp() -> UnsafeMutablePointer<UInt8> {
    byte(0xe9)
    int32(0)
    return p - 4
  }

  mutating func jcc(_ condition: UInt8) -> UnsafeMutablePointer<UInt8> {
    byte(0x0f)
    byte(0x80 | condition)
    int32(0)
    return p - 4
  }

  /// A short forward jump.
  mutating func jccShort(_ condition: UInt8) -> UnsafeMutablePointer<UInt8> {
    byte(0x70 | condition)
    byte(0)
    return p - 1
  }

  mutating func jmpShort() -> UnsafeMutablePointer<UInt8> {
    byte(0xeb)
    byte(0)
    return p - 1
  }

  /// Makes a short jump lead here.
  mutating func bindShort(_ site: UnsafeMutablePointer<UInt8>) {
    site.pointee = UInt8(truncatingIfNeeded: p - site - 1)
  }

  /// Makes a jump lead here.
  mutating func bind(_ site: UnsafeMutablePointer<UInt8>) {
    Self.patch(site, to: p)
  }

  static func patch(_ site: UnsafeMutablePointer<UInt8>, to target: UnsafeMutablePointer<UInt8>) {
    UnsafeMutableRawPointer(site).storeBytes(
      of: Int32(truncatingIfNeeded: target - (site + 4)), as: Int32.self)
  }

  mutating func jmp(to target: UnsafeMutablePointer<UInt8>) {
    Self.patch(jmp(), to: target)
  }

  mutating func jcc(_ condition: UInt8, to target: UnsafeMutablePointer<UInt8>) {
    Self.patch(jcc(condition), to: target)
  }

  mutating func call(_ target: UnsafeMutablePointer<UInt8>) {
    byte(0xe8)
    int32(0)
    Self.patch(p - 4, to: target)
  }
}
