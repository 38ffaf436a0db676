import Engine

// What micro-ops do not say. Operands: `d` where to, `a` and `b` from, `c` which, `e` bytes.

/// The bits of an operand of so many bytes.
@inline(__always)
func mask(_ size: UInt8) -> UInt64 { .max &>> UInt64(64 &- UInt64(size) &* 8) }

/// The operand sign-extended.
@inline(__always)
func signed(_ value: UInt64, _ size: UInt8) -> Int64 {
  let shift = Int64(64 &- Int64(size) &* 8)
  return (Int64(bitPattern: value) &<< shift) &>> shift
}

/// Writes general register slot `d` as an instruction of that operand size does.
@inline(__always)
func put(_ x: UnsafeMutablePointer<UInt64>, _ d: Int, _ value: UInt64, _ size: UInt8) {
  switch size {
  case 1: x[d] = x[d] & ~0xff | value & 0xff
  case 2: x[d] = x[d] & ~0xffff | value & 0xffff
  case 4: x[d] = value & 0xffff_ffff
  default: x[d] = value
  }
}

/// Gives some flags values and leaves the others.
@inline(__always)
func setFlags(_ x: UnsafeMutablePointer<UInt64>, _ which: UInt64, _ values: UInt64) {
  StatusFlags.set(x, StatusFlags.packed(x) & ~which | values & which)
}

/// The flags of a result, with carry and overflow as given.
@inline(__always)
func noteResult(
  _ x: UnsafeMutablePointer<UInt64>, _ result: UInt64, _ size: UInt8, _ others: UInt64
) {
  let kind = FlagKind.with(FlagKind.result, size: size)
  x[Slot.flagKind] = UInt64(kind)
  x[Slot.flagA] = result &<< UInt64(kind & FlagKind.shiftMask)
  x[Slot.flagB] = others
}

/// A shift or rotate by a count that may be anything.
///
/// - SeeAlso: Intel SDM volume 2, 'SAL/SAR/SHL/SHR - Shift' and 'RCL/RCR/ROL/ROR - Rotate'.
let shiftByCount: Helper = { x, raw in
  let op = raw.op
  let size = op.e
  let bits = UInt64(size) &* 8
  let value = x[Int(op.a)] & mask(size)
  let count = x[Int(op.b)] & (size == 8 ? 63 : 31)
  let kind = ShiftKind(rawValue: op.c) ?? .shl
  guard count > 0 else {
    x[Int(op.d)] = value
    return
  }
  let top = bits &- 1
  var result = value
  var carry: UInt64 = 0
  var overflow: UInt64 = 0
  switch kind {
  case .rol, .ror:
    let by = kind == .rol ? count % bits : (bits &- count % bits) % bits
    if by != 0 { result = (value &<< by | value &>> (bits &- by)) & mask(size) }
    carry = kind == .rol ? result & 1 : result &>> top
    let next = kind == .rol ? carry : result &>> (top &- 1)
    overflow = (result &>> top ^ next) & 1
  case .rcl, .rcr:
    carry = StatusFlags.carrySet(x) ? 1 : 0
    // Right once is left by all but one.
    for _ in 0..<count % (bits &+ 1) {
      if kind == .rcl {
        let out = result &>> top
        result = (result &<< 1 | carry) & mask(size)
        carry = out
      } else {
        let out = result & 1
        result = result &>> 1 | carry &<< top
        carry = out
      }
    }
    let next = kind == .rcl ? carry : result &>> (top &- 1)
    overflow = (result &>> top ^ next) & 1
  case .shl, .shl2:
    result = count < bits ? (value &<< count) & mask(size) : 0
    carry = count <= bits ? (value &>> (bits &- count)) & 1 : 0
    overflow = result &>> top ^ carry
  case .shr:
    result = count < bits ? value &>> count : 0
    carry = count <= bits ? (value &>> (count &- 1)) & 1 : 0
    overflow = value &>> top
  case .sar:
    let wide = signed(value, size)
    result = UInt64(bitPattern: wide &>> Int64(min(count, 63))) & mask(size)
    carry = UInt64(bitPattern: wide &>> Int64(min(count &- 1, 63))) & 1
  }
  switch kind {
  case .rol, .ror, .rcl, .rcr:
    setFlags(x, StatusFlags.carry | StatusFlags.overflow, carry | overflow &<< 11)
  default: noteResult(x, result, size, carry | overflow &<< 11)
  }
  x[Int(op.d)] = result
}

/// SHLD, and with bit 7 of `e` SHRD; `c` is the slot of the count.
///
/// - SeeAlso: Intel SDM volume 2, 'SHLD - Double Precision Shift Left'.
let shiftDouble: Helper = { x, raw in
  let op = raw.op
  let size = op.e & 0x3f
  let bits = UInt64(size) &* 8
  let value = x[Int(op.a)] & mask(size)
  let other = x[Int(op.b)] & mask(size)
  let count = x[Int(op.c)] & (size == 8 ? 63 : 31)
  guard count > 0 else {
    x[Int(op.d)] = value
    return
  }
  let right = op.e & 0x80 != 0
  // Counts above a 16-bit operand's width have no defined result.
  let by = min(count, bits)
  var result: UInt64
  let carry: UInt64
  if right {
    carry = (value &>> (by &- 1)) & 1
    result = by == bits ? other : value &>> by | other &<< (bits &- by)
  } else {
    carry = (value &>> (bits &- by)) & 1
    result = by == bits ? other : value &<< by | other &>> (bits &- by)
  }
  result &= mask(size)
  let overflow = (result ^ value) &>> (bits &- 1)
  noteResult(x, result, size, carry | overflow &<< 11)
  x[Int(op.d)] = result
}

/// BT, BTS, BTR, BTC by `c`.
let bitOperation: Helper = { x, raw in
  let op = raw.op
  let value = x[Int(op.a)] & mask(op.e)
  let bit: UInt64 = 1 &<< (x[Int(op.b)] & (UInt64(op.e) &* 8 &- 1))
  setFlags(x, StatusFlags.carry, value & bit == 0 ? 0 : 1)
  switch op.c {
  case 1: x[Int(op.d)] = value | bit
  case 2: x[Int(op.d)] = value & ~bit
  case 3: x[Int(op.d)] = value ^ bit
  default: break
  }
}

/// The operand in a bit string at `a` that holds the bit at the signed offset `b`.
let bitAddress: Helper = { x, raw in
  let op = raw.op
  let size = op.e & 0x7f
  let offset = signed(x[Int(op.b)], size)
  let operand = offset &>> Int64(size.trailingZeroBitCount &+ 3)
  let address = x[Int(op.a)] &+ UInt64(bitPattern: operand &* Int64(size))
  x[Int(op.d)] = address & (op.e & 0x80 == 0 ? .max : op.e & 0x40 == 0 ? 0xffff_ffff : 0xffff)
}

/// What ``countBits`` counts.
enum BitKind: UInt8 { case bsf, bsr, popcnt, lzcnt, tzcnt }

/// - SeeAlso: Intel SDM volume 2, 'BSF - Bit Scan Forward', 'LZCNT - Count the Number of Leading
///   Zero Bits', 'POPCNT - Return the Count of Number of Bits Set to 1'.
let countBits: Helper = { x, raw in
  let op = raw.op
  let size = op.e
  let value = x[Int(op.a)] & mask(size)
  let d = Int(op.d)
  let empty = value == 0
  switch BitKind(rawValue: op.c) ?? .bsf {
  case .bsf, .bsr:
    setFlags(x, StatusFlags.zero, empty ? StatusFlags.zero : 0)
    // An empty source leaves the destination, as all processors do.
    if empty { return }
    let found =
      op.c == BitKind.bsf.rawValue
      ? value.trailingZeroBitCount : 63 &- value.leadingZeroBitCount
    put(x, d, UInt64(truncatingIfNeeded: found), size)
  case .popcnt:
    StatusFlags.set(x, empty ? StatusFlags.zero : 0)
    put(x, d, UInt64(truncatingIfNeeded: value.nonzeroBitCount), size)
  case .lzcnt, .tzcnt:
    let bits = Int(size) &* 8
    let found =
      op.c == BitKind.lzcnt.rawValue
      ? value.leadingZeroBitCount &- (64 &- bits) : min(value.trailingZeroBitCount, bits)
    setFlags(
      x, StatusFlags.zero | StatusFlags.carry,
      (found == 0 ? StatusFlags.zero : 0) | (empty ? 1 : 0))
    put(x, d, UInt64(truncatingIfNeeded: found), size)
  }
}

/// BLSR, BLSMSK, BLSI by `c`.
let lowestBit: Helper = { x, raw in
  let op = raw.op
  let value = x[Int(op.a)] & mask(op.e)
  let result: UInt64
  switch op.c {
  case 0: result = value & (value &- 1)
  case 1: result = (value ^ (value &- 1)) & mask(op.e)
  default: result = value & (0 &- value)
  }
  noteResult(x, result, op.e, (value == 0) != (op.c == 2) ? 1 : 0)
  put(x, Int(op.d), result, op.e)
}

/// MULX: low half to `b`, then high half to `d`.
let multiplyQuietly: Helper = { x, raw in
  let op = raw.op
  if op.e == 8 {
    let product = x[Int(Lift.rdx)].multipliedFullWidth(by: x[Int(op.a)])
    x[Int(op.b)] = product.low
    x[Int(op.d)] = product.high
  } else {
    let product = (x[Int(Lift.rdx)] & 0xffff_ffff) &* (x[Int(op.a)] & 0xffff_ffff)
    x[Int(op.b)] = product & 0xffff_ffff
    x[Int(op.d)] = product &>> 32
  }
}

/// ANDN, PDEP, PEXT, BEXTR, BZHI, SARX, SHLX, SHRX by `c`.
///
/// - SeeAlso: Intel SDM volume 2, the pages of these names.
let bitwise: Helper = { x, raw in
  let op = raw.op
  let size = op.e
  let bits = UInt64(size) &* 8
  let a = x[Int(op.a)] & mask(size)
  let b = x[Int(op.b)] & mask(size)
  var result: UInt64 = 0
  switch op.c {
  case 0:
    result = ~a & b
    noteResult(x, result, size, 0)
  case 1:
    var from = a
    var places = b
    while places != 0 {
      let place = places & (0 &- places)
      if from & 1 != 0 { result |= place }
      from &>>= 1
      places &= places &- 1
    }
  case 2:
    var at: UInt64 = 1
    var places = b
    while places != 0 {
      let place = places & (0 &- places)
      if a & place != 0 { result |= at }
      at &<<= 1
      places &= places &- 1
    }
  case 3:
    let start = b & 0xff
    let length = (b &>> 8) & 0xff
    if start < bits { result = a &>> start }
    if length < 64 { result &= (1 &<< length) &- 1 }
    StatusFlags.set(x, result == 0 ? StatusFlags.zero : 0)
  case 4:
    let index = b & 0xff
    result = index < bits ? a & ((1 &<< index) &- 1) : a
    noteResult(x, result, size, index < bits ? 0 : 1)
  case 5: result = UInt64(bitPattern: signed(a, size) &>> Int64(b & (bits &- 1))) & mask(size)
  case 6: result = (a &<< (b & (bits &- 1))) & mask(size)
  default: result = a &>> (b & (bits &- 1))
  }
  put(x, Int(op.d), result, size)
}

/// BSWAP has no helper; this is CRC32.
///
/// - SeeAlso: Intel SDM volume 2, 'CRC32 - Accumulate CRC32 Value'.
let crc32c: Helper = { x, raw in
  let op = raw.op
  var sum = UInt32(truncatingIfNeeded: x[Int(op.d)])
  let data = x[Int(op.a)]
  for index in 0..<UInt64(op.e) {
    sum ^= UInt32(truncatingIfNeeded: (data &>> (index &* 8)) & 0xff)
    for _ in 0..<8 { sum = sum &>> 1 ^ (sum & 1 == 0 ? 0 : 0x82f6_3b78) }
  }
  x[Int(op.d)] = UInt64(sum)
}

/// ADCX and ADOX: the flag is bit `c`.
///
/// - SeeAlso: Intel SDM volume 2, 'ADCX - Unsigned Integer Addition of Two Operands With Carry Flag'.
let addOneFlag: Helper = { x, raw in
  let op = raw.op
  let flag: UInt64 = 1 &<< UInt64(op.c)
  let carry: UInt64 = StatusFlags.packed(x) & flag == 0 ? 0 : 1
  let a = x[Int(op.d)] & mask(op.e)
  let b = x[Int(op.a)] & mask(op.e)
  let sum = (a &+ b &+ carry) & mask(op.e)
  let out = sum < a || (carry == 1 && sum == a)
  setFlags(x, flag, out ? flag : 0)
  x[Int(op.d)] = sum
}
