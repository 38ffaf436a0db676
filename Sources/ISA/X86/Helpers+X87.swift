import Engine

// x87 arithmetic and comparison. Of a micro-op, `b` is the memory operand's ``X87Format`` (none: the
// register ST(c)), `d` what to do, `e` how.

/// The arithmetic of D8 to DF, numbered as in ModRM.reg.
enum X87Arithmetic: UInt8 {
  case add, mul, com, comp, sub, subr, div, divr

  /// In `e`: the result goes to ST(c); the stack is popped.
  static let toOther: UInt8 = 1, pops: UInt8 = 2
}

/// FADD, FMUL, FSUB, FSUBR, FDIV, FDIVR and their like with integers.
let x87Arithmetic: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  let op = raw.op
  let format = X87Format(rawValue: op.b) ?? .none
  let other = Int(op.c)
  let to = op.e & X87Arithmetic.toOther != 0 ? other : 0
  if fpu.isEmpty(0) || format == .none && fpu.isEmpty(other) {
    guard fpu.stackFault(overflow: false) else { return }
    fpu[to] = .indefinite
    if op.e & X87Arithmetic.pops != 0 { fpu.pop() }
    return
  }
  let kind = X87Arithmetic(rawValue: op.d) ?? .add
  var a = fpu[0]
  var b = format == .none ? fpu[other] : fpu.operand(format)
  if fpu.env.isSpecialOperand(a) { fpu.env.flags.remove(.denormal) }
  if to != 0 || op.e & X87Arithmetic.toOther != 0 { swap(&a, &b) }
  let result: Extended
  switch kind {
  case .add: result = fpu.env.add(a, b, subtracting: false)
  case .mul: result = fpu.env.multiply(a, b)
  case .sub: result = fpu.env.add(a, b, subtracting: true)
  case .subr: result = fpu.env.add(b, a, subtracting: true)
  case .div: result = fpu.env.divide(a, b)
  default: result = fpu.env.divide(b, a)
  }
  guard fpu.finish() else { return }
  fpu[to] = result
  if op.e & X87Arithmetic.pops != 0 { fpu.pop() }
}

extension ExtendedEnvironment {
  /// Whether an operand is a NaN or of no meaning: then the other one's being denormal is no matter.
  func isSpecialOperand(_ a: Extended) -> Bool { a.isNaN || a.isUnsupported }
}

/// How a comparison is made: bits of `e`.
enum X87Compare {
  static let quiet: UInt8 = 1, popOnce: UInt8 = 2, popTwice: UInt8 = 4, toFlags: UInt8 = 8
  static let withZero: UInt8 = 16
}

/// FCOM, FUCOM, FCOMI, FTST and their like.
///
/// - SeeAlso: Intel SDM volume 2, 'FCOMI/FCOMIP/FUCOMI/FUCOMIP'.
let x87Compare: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  let op = raw.op
  let format = X87Format(rawValue: op.b) ?? .none
  var order = ExtendedEnvironment.Order.unordered
  let zero = op.e & X87Compare.withZero != 0
  if fpu.isEmpty(0) || !zero && format == .none && fpu.isEmpty(Int(op.c)) {
    let goesOn = fpu.stackFault(overflow: false)
    if op.e & X87Compare.toFlags != 0 {
      StatusFlags.set(x, StatusFlags.zero | StatusFlags.parity | StatusFlags.carry)
    } else {
      fpu.setCodes(StatusWord.codes(.unordered))
    }
    guard goesOn else { return }
  } else {
    let a = fpu[0]
    let b = zero ? .zero(false) : format == .none ? fpu[Int(op.c)] : fpu.operand(format)
    order = fpu.env.compare(a, b, signals: op.e & X87Compare.quiet == 0)
    if order == .unordered { fpu.env.flags.remove(.denormal) }
    let goesOn = fpu.finish()
    if op.e & X87Compare.toFlags != 0 {
      switch order {
      case .unordered:
        StatusFlags.set(x, StatusFlags.zero | StatusFlags.parity | StatusFlags.carry)
      case .less: StatusFlags.set(x, StatusFlags.carry)
      case .equal: StatusFlags.set(x, StatusFlags.zero)
      case .greater: StatusFlags.set(x, 0)
      }
    } else {
      fpu.setCodes(StatusWord.codes(order))
    }
    guard goesOn else { return }
  }
  if op.e & (X87Compare.popOnce | X87Compare.popTwice) != 0 { fpu.pop() }
  if op.e & X87Compare.popTwice != 0 { fpu.pop() }
}

/// Operations on ST(0) alone.
enum X87Unary: UInt8 {
  case chs, abs, sqrt, rndint, xam
}

/// FCHS, FABS, FSQRT, FRNDINT, FXAM.
let x87Unary: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  let kind = X87Unary(rawValue: raw.op.d) ?? .chs
  if kind == .xam { return examine(fpu) }
  if fpu.isEmpty(0) {
    if fpu.stackFault(overflow: false) { fpu[0] = .indefinite }
    return
  }
  let a = fpu[0]
  switch kind {
  case .chs: fpu[0] = a.negated
  case .abs: fpu[0] = Extended(significand: a.significand, signExponent: a.signExponent & 0x7fff)
  case .sqrt:
    let result = fpu.env.squareRoot(a)
    if fpu.finish() { fpu[0] = result }
  default:
    let result = fpu.env.roundToInteger(a)
    if fpu.finish() { fpu[0] = result }
  }
}

/// - SeeAlso: Intel SDM volume 2, 'FXAM - Examine Floating-Point'.
private func examine(_ fpu: X87) {
  let a = fpu[0]
  let kind: UInt64
  if fpu.isEmpty(0) {
    kind = StatusWord.c3 | StatusWord.c0
  } else if a.isUnsupported {
    kind = 0
  } else if a.isNaN {
    kind = StatusWord.c0
  } else if a.isInfinite {
    kind = StatusWord.c2 | StatusWord.c0
  } else if a.isZero {
    kind = StatusWord.c3
  } else if a.isDenormal {
    kind = StatusWord.c3 | StatusWord.c2
  } else {
    kind = StatusWord.c2
  }
  fpu.setCodes(kind | (a.isNegative ? StatusWord.c1 : 0))
}

/// FSCALE, FPREM, FPREM1, FXTRACT.
enum X87Binary: UInt8 { case scale, prem, prem1, xtract }

let x87Binary: Helper = { x, raw in
  guard var fpu = X87(x, raw) else { return }
  switch X87Binary(rawValue: raw.op.d) ?? .scale {
  case .scale:
    if underflows(fpu, 2) { return }
    let result = fpu.env.scale(fpu[0], by: fpu[1])
    if fpu.finish() { fpu[0] = result }
  case .xtract: extractParts(&fpu)
  case let kind:
    x[Registers.fpStatus] &= ~StatusWord.c2
    if underflows(fpu, 2) { return }
    let result = fpu.env.remainder(fpu[0], fpu[1], nearest: kind == .prem1)
    guard fpu.finish() else { return }
    fpu[0] = result.value
    // A NaN leaves the quotient's bits.
    if result.value.isNaN { return }
    if result.isPartial { return fpu.setCodes(StatusWord.c2) }
    let q = result.quotient
    fpu.setCodes(
      (q & 1 != 0 ? StatusWord.c1 : 0) | (q & 2 != 0 ? StatusWord.c3 : 0)
        | (q & 4 != 0 ? StatusWord.c0 : 0))
  }
}

/// Whether one of the first `count` registers is empty; then the answer has been given.
func underflows(_ fpu: X87, _ count: Int) -> Bool {
  guard (0..<count).contains(where: { fpu.isEmpty($0) }) else { return false }
  if fpu.stackFault(overflow: false) { fpu[0] = .indefinite }
  return true
}

private func extractParts(_ fpu: inout X87) {
  if fpu.isEmpty(0) || !fpu.isEmpty(-1) {
    let overflow = !fpu.isEmpty(0)
    guard fpu.stackFault(overflow: overflow) else { return }
    fpu[0] = .indefinite
    fpu.push(.indefinite)
    return
  }
  let (exponent, significand) = fpu.env.extract(fpu[0])
  guard fpu.finish() else { return }
  fpu[0] = exponent
  fpu.push(significand)
}
