import Engine

// Multiplication, division, compare-and-exchange.

/// MUL, and with `c` IMUL, of the accumulator by `a`.
///
/// - SeeAlso: Intel SDM volume 2, 'MUL - Unsigned Multiply' and 'IMUL - Signed Multiply'.
let multiplyWide: Helper = { x, raw in
  let op = raw.op
  let size = op.e
  let rax = Int(Lift.rax)
  let rdx = Int(Lift.rdx)
  let a = x[rax] & mask(size)
  let b = x[Int(op.a)] & mask(size)
  var low: UInt64
  var high: UInt64
  var over: Bool
  if size == 8 {
    if op.c == 0 {
      (high, low) = a.multipliedFullWidth(by: b)
      over = high != 0
    } else {
      let product = Int64(bitPattern: a).multipliedFullWidth(by: Int64(bitPattern: b))
      low = product.low
      high = UInt64(bitPattern: product.high)
      over = product.high != Int64(bitPattern: low) &>> 63
    }
  } else {
    let bits = UInt64(size) &* 8
    let product = op.c == 0 ? a &* b : UInt64(bitPattern: signed(a, size) &* signed(b, size))
    low = product & mask(size)
    high = (product &>> bits) & mask(size)
    over = op.c == 0 ? high != 0 : Int64(bitPattern: product) != signed(low, size)
  }
  if size == 1 {
    put(x, rax, low | high &<< 8, 2)
  } else {
    put(x, rax, low, size)
    put(x, rdx, high, size)
  }
  noteResult(x, low, size, over ? StatusFlags.carry | StatusFlags.overflow : 0)
}

/// DIV, and with `c` IDIV, of the accumulator by `a`.
///
/// - SeeAlso: Intel SDM volume 2, 'DIV - Unsigned Divide' and 'IDIV - Signed Divide'.
let divideWide: Helper = { x, raw in
  let op = raw.op
  let size = op.e
  let rax = Int(Lift.rax)
  let rdx = Int(Lift.rdx)
  if op.c == 0, size >= 4 {
    let (high, low) = (x[rdx] & mask(size), x[rax] & mask(size))
    let by = x[Int(op.a)] & mask(size)
    // So that the quotient fits; zero is among the others.
    if high < by {
      if size == 8 {
        (x[rax], x[rdx]) = high == 0 ? (low / by, low % by) : by.dividingFullWidth((high, low))
      } else {
        let dividend = high &<< 32 | low
        (x[rax], x[rdx]) = (dividend / by, dividend % by)
      }
      return
    }
  }
  let bits = UInt128(UInt64(size) &* 8)
  let divisor = UInt128(x[Int(op.a)] & mask(size))
  var dividend: UInt128
  if size == 1 {
    dividend = UInt128(x[rax] & 0xffff)
  } else {
    dividend = UInt128(x[rdx] & mask(size)) &<< bits | UInt128(x[rax] & mask(size))
  }
  guard divisor != 0 else { return X64.raise(x, 0) }
  var quotient: UInt128
  var remainder: UInt128
  if op.c == 0 {
    (quotient, remainder) = dividend.quotientAndRemainder(dividingBy: divisor)
    guard quotient <= UInt128(mask(size)) else { return X64.raise(x, 0) }
  } else {
    let half: UInt128 = 1 &<< (bits &- 1)
    let full = half &* half &* 2
    let negative = dividend & full != 0
    let otherNegative = divisor & half != 0
    let magnitude = negative ? (0 &- dividend) & (full | (full &- 1)) : dividend
    let by = otherNegative ? half &* 2 &- divisor : divisor
    (quotient, remainder) = magnitude.quotientAndRemainder(dividingBy: by)
    guard quotient <= (negative != otherNegative ? half : half &- 1) else {
      return X64.raise(x, 0)
    }
    if negative != otherNegative { quotient = 0 &- quotient }
    if negative { remainder = 0 &- remainder }
  }
  let low = UInt64(truncatingIfNeeded: quotient)
  let rest = UInt64(truncatingIfNeeded: remainder)
  if size == 1 {
    put(x, rax, low & 0xff | (rest & 0xff) &<< 8, 2)
  } else {
    put(x, rax, low, size)
    put(x, rdx, rest, size)
  }
}

/// CMPXCHG: the old value is `a`, the new one `b`; what to store goes to `d`, zero-extended.
///
/// - SeeAlso: Intel SDM volume 2, 'CMPXCHG - Compare and Exchange'.
let compareExchange: Helper = { x, raw in
  let op = raw.op
  let size = op.e
  let rax = Int(Lift.rax)
  let old = x[Int(op.a)] & mask(size)
  let accumulator = x[rax] & mask(size)
  let new = x[Int(op.b)] & mask(size)
  let kind = FlagKind.with(FlagKind.subtract, size: size)
  x[Slot.flagKind] = UInt64(kind)
  x[Slot.flagA] = accumulator &<< UInt64(kind & FlagKind.shiftMask)
  x[Slot.flagB] = old &<< UInt64(kind & FlagKind.shiftMask)
  if old == accumulator {
    x[Int(op.d)] = new
  } else {
    x[Int(op.d)] = old
    put(x, rax, old, size)
  }
}

/// CMPXCHG8B and CMPXCHG16B: `a` the address, `c` 1 through the stack segment, `e` bytes of a half.
///
/// - SeeAlso: Intel SDM volume 2, 'CMPXCHG8B/CMPXCHG16B - Compare and Exchange Bytes'.
let compareExchangePair: Helper = { x, raw in
  let op = raw.op
  let half = UInt64(op.e)
  let va = x[Int(op.a)]
  if half == 8, va & 15 != 0 { return X64.raise(x, 13) }
  x[SystemSlot.stackAccess] = UInt64(op.c)
  defer { x[SystemSlot.stackAccess] = 0 }
  if half == 4, X64.isCanonical(va, x), !X64.isCanonical(va &+ 7, x) {
    return X64.raise(x, op.c == 1 ? 12 : 13)
  }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let low: UInt64
    let high: UInt64
    if half == 4 {
      let both = hart.loadForModify(va, 8)
      low = both & 0xffff_ffff
      high = both &>> 32
    } else {
      low = hart.loadForModify(va, 8)
      if x[Slot.pending] == Pending.exception.rawValue { return }
      high = hart.loadForModify(va &+ 8, 8)
    }
    if x[Slot.pending] == Pending.exception.rawValue { return }
    let mask = mask(op.e)
    let equal = low == x[Int(Lift.rax)] & mask && high == x[Int(Lift.rdx)] & mask
    setFlags(x, StatusFlags.zero, equal ? StatusFlags.zero : 0)
    guard equal else {
      x[Int(Lift.rax)] = low
      x[Int(Lift.rdx)] = high
      return
    }
    let newLow = x[Int(Lift.rbx)]
    let newHigh = x[Int(Lift.rcx)]
    if half == 4 {
      hart.observedStore(va, 8, newLow & mask | newHigh &<< 32)
    } else {
      hart.observedStore(va, 8, newLow)
      hart.observedStore(va &+ 8, 8, newHigh)
    }
  }
}
