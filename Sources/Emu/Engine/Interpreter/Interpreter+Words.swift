// What the interpreter's micro-ops are made of, in line in each of them.

@inline(__always)
func signed(_ value: UInt64) -> Int64 { Int64(bitPattern: value) }

@inline(__always)
func unsigned(_ value: Int64) -> UInt64 { UInt64(bitPattern: value) }

/// The signed lower half of an immediate that packs two.
@inline(__always)
func low(_ imm: UInt64) -> UInt64 {
  UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: imm)))
}

/// The signed upper half.
@inline(__always)
func high(_ imm: UInt64) -> UInt64 { UInt64(bitPattern: Int64(bitPattern: imm) &>> 32) }

@inline(__always)
func word(_ value: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: value) }

@inline(__always)
func extend(_ value: UInt64) -> UInt64 { extend(Int32(truncatingIfNeeded: value)) }

@inline(__always)
func extend(_ value: UInt32) -> UInt64 { extend(Int32(bitPattern: value)) }

@inline(__always)
func extend(_ value: Int32) -> UInt64 { UInt64(bitPattern: Int64(value)) }

@inline(__always)
func divide(_ of: Int64, _ by: Int64) -> UInt64 {
  by == 0 ? .max : unsigned(of.dividedReportingOverflow(by: by).partialValue)
}

@inline(__always)
func remainder(_ of: Int64, _ by: Int64) -> UInt64 {
  by == 0 ? unsigned(of) : by == -1 ? 0 : unsigned(of % by)
}

/// Every byte becomes all ones unless it is zero.
func orCombine(_ value: UInt64) -> UInt64 {
  let low: UInt64 = 0x7f7f_7f7f_7f7f_7f7f
  let set = (((value & low) &+ low) | value) & ~low
  return (set &>> 7) &* 0xff
}
