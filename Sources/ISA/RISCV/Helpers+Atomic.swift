import Engine

/// What an atomic memory operation makes of memory and register.
enum AtomicFunction: UInt8 {
  case swap, add, xor, and, or, min, max, minu, maxu

  @inline(__always)
  func apply<T: FixedWidthInteger & UnsignedInteger>(
    _ memory: T, _ register: T, _ signed: (T) -> Int64
  ) -> T {
    switch self {
    case .swap: register
    case .add: memory &+ register
    case .xor: memory ^ register
    case .and: memory & register
    case .or: memory | register
    case .min: signed(memory) < signed(register) ? memory : register
    case .max: signed(memory) < signed(register) ? register : memory
    case .minu: Swift.min(memory, register)
    case .maxu: Swift.max(memory, register)
    }
  }
}

/// `lr`: `a` address, `d` destination, `c` bytes.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, 'Load-Reserved/Store-Conditional Instructions'.
let loadReserved: Helper = { x, raw in
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let op = raw.op
    let va = x[Int(op.a)]
    let size = UInt64(op.c)
    guard va & (size &- 1) == 0 else {
      hart.raise(4, va)
      return
    }
    guard let pa = hart.physical(va, size, .load) else { return }
    guard hart.ram.contains(pa, size) else {
      hart.raise(5, va)
      return
    }
    let value = hart.loadPhysical(pa, size, va)
    x[Slot.reservation] = pa
    x[Int(op.d)] = size == 4 ? UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: value))) : value
  }
}

/// `sc`: `a` address, `b` value, `d` destination (0: stored), `c` bytes.
let storeConditional: Helper = { x, raw in
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let op = raw.op
    let va = x[Int(op.a)]
    let size = UInt64(op.c)
    guard va & (size &- 1) == 0 else {
      hart.raise(6, va)
      return
    }
    // The address is translated, and faults, whether or not the reservation holds.
    guard let pa = hart.physical(va, size, .store) else { return }
    guard hart.ram.contains(pa, size) else {
      hart.raise(7, va)
      return
    }
    let holds = x[Slot.reservation] == pa
    x[Slot.reservation] = .max
    if holds {
      hart.tellObserver(va, Int(size), isStore: true)
      hart.storePhysical(pa, size, x[Int(op.b)], va)
    }
    x[Int(op.d)] = holds ? 0 : 1
  }
}

/// `amo*`: `a` address, `b` operand, `d` destination, `c` bytes, `e` function.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, 'Atomic Memory Operations'.
let atomicOperation: Helper = { x, raw in
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let op = raw.op
    let va = x[Int(op.a)]
    let size = UInt64(op.c)
    guard va & (size &- 1) == 0 else {
      hart.raise(6, va)
      return
    }
    guard let pa = hart.physical(va, size, .store) else { return }
    guard hart.ram.contains(pa, size) else {
      hart.raise(7, va)
      return
    }
    let function = AtomicFunction(rawValue: op.e) ?? .swap
    let old = hart.loadPhysical(pa, size, va)
    let operand = x[Int(op.b)]
    if size == 4 {
      let new = function.apply(
        UInt32(truncatingIfNeeded: old), UInt32(truncatingIfNeeded: operand)
      ) { Int64(Int32(bitPattern: $0)) }
      hart.storePhysical(pa, 4, UInt64(new), va)
      x[Int(op.d)] = UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: old)))
    } else {
      let new = function.apply(old, operand) { Int64(bitPattern: $0) }
      hart.storePhysical(pa, 8, new, va)
      x[Int(op.d)] = old
    }
  }
}
