import Engine

// x87 loads, stores and exchanges. Operands of micro-ops as in `Helpers+X87.swift`.

/// FLD, FILD, FBLD; of a register FLD ST(i).
let x87Load: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  let op = raw.op
  switch X87Format(rawValue: op.b) ?? .none {
  case .none:
    if fpu.isEmpty(Int(op.c)) {
      guard fpu.stackFault(overflow: false) else { return }
      // A full stack besides.
      fpu.push(.indefinite)
    } else {
      fpu.pushChecked(fpu[Int(op.c)])
    }
  case .decimal: fpu.pushChecked(fromDecimal(x))
  case let format:
    if !fpu.isEmpty(-1) { return fpu.pushChecked(.indefinite) }
    let value = fpu.operand(format)
    fpu.pushChecked(format == .extended || !value.isNaN ? value : value.quieted)
  }
}

/// FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ by `d`.
///
/// - SeeAlso: Intel SDM volume 2, 'FLD1/FLDL2T/FLDL2E/FLDPI/FLDLG2/FLDLN2/FLDZ - Load Constant'.
let x87Constant: Helper = { x, raw in
  guard let fpu = X87(x, raw) else { return }
  fpu.pushChecked(constant(raw.op.d, fpu.env.rounding))
}

private func constant(_ number: UInt8, _ rounding: RoundingMode) -> Extended {
  // The significand cut off, and whether the next bit is set.
  let entry: (exponent: Int, significand: UInt64, half: Bool)
  switch number {
  case 0: return .one
  case 1: entry = (0x4000, 0xd49a_784b_cd1b_8afe, false)
  case 2: entry = (0x3fff, 0xb8aa_3b29_5c17_f0bb, true)
  case 3: entry = (0x4000, 0xc90f_daa2_2168_c234, true)
  case 4: entry = (0x3ffd, 0x9a20_9a84_fbcf_f798, true)
  case 5: entry = (0x3ffe, 0xb172_17f7_d1cf_79ab, true)
  default: return .zero(false)
  }
  let up = rounding == .up || rounding == .nearestEven && entry.half
  return Extended(false, entry.exponent, entry.significand &+ (up ? 1 : 0))
}

/// FST, FSTP, to a register too: `e` pops.
let x87Store: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  let op = raw.op
  let format = X87Format(rawValue: op.b) ?? .none
  if fpu.isEmpty(0) {
    guard fpu.stackFault(overflow: false) else { return }
    switch format {
    case .none: fpu[Int(op.c)] = .indefinite
    case .single: put(x, op.a, 4, 0xffc0_0000)
    case .double: put(x, op.a, 8, 0xfff8 << 48)
    default: putExtended(x, op.a, .indefinite)
    }
    if op.e != 0 { fpu.pop() }
    return
  }
  let a = fpu[0]
  switch format {
  case .none: fpu[Int(op.c)] = a
  case .single:
    let value = fpu.env.toSingle(a)
    guard fpu.finish(toMemory: true) else { return }
    put(x, op.a, 4, UInt64(value))
  case .double:
    let value = fpu.env.toDouble(a)
    guard fpu.finish(toMemory: true) else { return }
    put(x, op.a, 8, value)
  default: putExtended(x, op.a, a)
  }
  if op.e != 0 { fpu.pop() }
}

/// Stores where the lift has seen that it is possible; `a` is the address's slot.
private func put(_ x: Slots, _ a: UInt8, _ size: UInt64, _ value: UInt64) {
  Hart.of(x)._withUnsafeGuaranteedRef { $0.store(x[Int(a)], size, value) }
}

private func putExtended(_ x: Slots, _ a: UInt8, _ value: Extended) {
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    hart.store(x[Int(a)], 8, value.significand)
    hart.store(x[Int(a)] &+ 8, 2, UInt64(value.signExponent))
  }
}

/// How integers are stored: bits of `e`.
enum X87IntegerStore { static let pops: UInt8 = 1, truncates: UInt8 = 2 }

/// FIST, FISTP, FISTTP.
let x87StoreInteger: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  let op = raw.op
  let size = (X87Format(rawValue: op.b) ?? .word).size
  let bits = Int(size) &* 8
  // The integer indefinite.
  var value: UInt64 = 1 &<< UInt64(bits &- 1)
  if fpu.isEmpty(0) {
    guard fpu.stackFault(overflow: false) else { return }
  } else {
    if op.e & X87IntegerStore.truncates != 0 { fpu.env.rounding = .towardZero }
    if let integer = fpu.env.toInteger(fpu[0], bits: bits) {
      value = UInt64(bitPattern: integer)
    }
    guard fpu.finish(toMemory: true) else { return }
  }
  put(x, op.a, UInt64(size), value)
  if op.e & X87IntegerStore.pops != 0 { fpu.pop() }
}

/// Eighteen decimal digits and a sign.
///
/// - SeeAlso: Intel SDM volume 1, 'BCD and Packed BCD Integers'.
private func fromDecimal(_ x: Slots) -> Extended {
  let low = x[Int(Lift.T.vector)]
  let high = x[Int(Lift.T.vector) + 1]
  var value: UInt64 = 0
  for index in 0..<9 {
    let byte = index == 0 ? high & 0xff : low &>> UInt64(64 &- index &* 8)
    value = value &* 100 &+ (byte &>> 4 & 15) &* 10 &+ byte & 15
  }
  let number = Extended.fromInteger(Int64(bitPattern: value))
  return high & 0x8000 != 0 ? number.negated : number
}

/// FBSTP.
///
/// - SeeAlso: Intel SDM volume 2, 'FBSTP - Store BCD Integer and Pop'.
let x87StoreDecimal: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  var low: UInt64 = 0xc000 << 48
  var high: UInt64 = 0xffff
  if fpu.isEmpty(0) {
    guard fpu.stackFault(overflow: false) else { return }
  } else {
    let a = fpu[0]
    let before = fpu.env
    if let integer = fpu.env.toInteger(a, bits: 64), integer.magnitude < 1_000_000_000_000_000_000 {
      var rest = integer.magnitude
      low = 0
      for index in 0..<8 {
        let pair = rest % 100
        rest /= 100
        low |= ((pair / 10) &<< 4 | pair % 10) &<< UInt64(index &* 8)
      }
      high = (rest / 10) &<< 4 | rest % 10 | (a.isNegative ? 0x8000 : 0)
    } else {
      fpu.env = before
      fpu.env.flags.insert(.invalid)
    }
    guard fpu.finish(toMemory: true) else { return }
  }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    hart.store(x[Int(raw.op.a)], 8, low)
    hart.store(x[Int(raw.op.a)] &+ 8, 2, high)
  }
  fpu.pop()
}

/// FXCH.
let x87Exchange: Helper = { x, raw in
  guard let fpu = X87(x, raw) else { return }
  let other = Int(raw.op.c)
  if fpu.isEmpty(0) || fpu.isEmpty(other) {
    guard fpu.stackFault(overflow: false) else { return }
    if fpu.isEmpty(0) { fpu[0] = .indefinite }
    if fpu.isEmpty(other) { fpu[other] = .indefinite }
  }
  let a = fpu[0]
  fpu[0] = fpu[other]
  fpu[other] = a
}

/// FCMOVcc: condition `d`.
let x87ConditionalMove: Helper = { x, raw in
  guard let fpu = X87(x, raw) else { return }
  let op = raw.op
  if fpu.isEmpty(0) || fpu.isEmpty(Int(op.c)) {
    guard fpu.stackFault(overflow: false) else { return }
    fpu[0] = .indefinite
    return
  }
  if StatusFlags.holds(x, op.d) { fpu[0] = fpu[Int(op.c)] }
}

/// FFREE, FFREEP, FINCSTP, FDECSTP, FNOP by `d`.
enum X87Stack: UInt8 { case free, freep, increment, decrement, nop }

let x87Stack: Helper = { x, raw in
  guard let fpu = X87(x, raw) else { return }
  switch X87Stack(rawValue: raw.op.d) ?? .nop {
  case .free: fpu.markEmpty(Int(raw.op.c))
  case .freep:
    fpu.markEmpty(Int(raw.op.c))
    fpu.pop()
  case .increment: fpu.turn(1)
  case .decrement: fpu.turn(-1)
  case .nop: break
  }
}
