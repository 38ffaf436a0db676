import Engine

// Exceptions, flags as a whole, identification.

/// Raises fault `c`, error code 0 where it has one.
let raiseFault: Helper = { x, raw in X64.raise(x, UInt64(raw.op.c)) }

/// Raises trap `c`: the saved pc is behind the instruction.
///
/// - SeeAlso: Intel SDM volume 2, 'INT n/INTO/INT3/INT1 - Call to Interrupt Procedure'.
let raiseTrap: Helper = { x, raw in
  x[SystemSlot.trapPC] = x[Slot.pc]
  X64.raise(x, UInt64(raw.op.c), trap: true)
}

/// INT n and INT3: whose gates must be open to the privilege.
///
/// While paging is off those of 3 and 4 are.
let softwareInterrupt: Helper = { x, raw in
  let vector = UInt64(raw.op.c)
  if X64.isMapped(x) {
    guard vector == 3 || vector == 4 else { return X64.raise(x, 13, vector &* 8 &+ 2) }
  } else {
    x[SystemSlot.isSoftware] = 1
  }
  x[SystemSlot.trapPC] = x[Slot.pc]
  X64.raise(x, vector, trap: true)
}

/// SYSCALL; with a flat memory map it asks the environment.
///
/// - SeeAlso: Intel SDM volume 2, 'SYSCALL - Fast System Call'.
let systemCall: Helper = { x, _ in
  with(x) { isa, hart in
    if !X64.isMapped(x) {
      guard x[SystemSlot.efer] & EFER.syscall != 0 else { return X64.raise(x, 6) }
      return isa.enterSystem(hart)
    }
    guard hart.environment != nil else { return X64.raise(x, 6) }
    x[Int(Lift.rcx)] = x[Slot.pc]
    x[Int(Lift.rax) + 11] = RFlags.read(x)
    x[Slot.pending] = Pending.environment.rawValue
  }
}

/// A computed jump's target, or a segment base, in `a` must be canonical.
let checkTarget: Helper = { x, raw in
  if !X64.isCanonical(x[Int(raw.op.a)], x) { X64.raise(x, 13) }
}

/// RFLAGS as PUSHF sees it, to `d`.
let readFlags: Helper = { x, raw in x[Int(raw.op.d)] = RFlags.read(x) & 0xfcffff }

/// POPF.
///
/// - SeeAlso: Intel SDM volume 2, 'POPF/POPFD/POPFQ - Pop Stack Into EFLAGS Register'.
let writeFlags: Helper = { x, raw in
  let op = raw.op
  with(x) { _, hart in
    let writable = RFlags.writable(x) & mask(op.e)
    RFlags.write(x, RFlags.read(x) & ~writable | x[Int(op.a)] & writable)
    x[Slot.checkInterrupts] = 1
    X64.updateMode(hart)
  }
}

/// - SeeAlso: Intel SDM volume 2, 'CPUID - CPU Identification'.
let identify: Helper = { x, _ in
  let leaf = UInt32(truncatingIfNeeded: x[Int(Lift.rax)])
  let sub = UInt32(truncatingIfNeeded: x[Int(Lift.rcx)])
  let features = X64.of(x)._withUnsafeGuaranteedRef { $0.features }
  var (a, b, c, d) = CPUID.leaf(leaf, sub, features)
  // OSXSAVE and the number of the processor are not constants.
  if leaf == 1 {
    if features.contains(.xsave), x[SystemSlot.cr4] & CR4.osXSAVE != 0 { c |= 1 << 27 }
    b |= Hart.of(x)._withUnsafeGuaranteedRef { UInt32(truncatingIfNeeded: $0.index) } << 24
  }
  // Nor is the size of an image of the enabled components.
  if leaf == 0xd, sub == 0, features.contains(.xsave) {
    b = UInt32(StateImage.size(of: x[SystemSlot.xcr0]))
  }
  x[Int(Lift.rax)] = UInt64(a)
  x[Int(Lift.rbx)] = UInt64(b)
  x[Int(Lift.rcx)] = UInt64(c)
  x[Int(Lift.rdx)] = UInt64(d)
}

/// RDTSC: the counter is the number of instructions begun; with `c` RDTSCP.
let readCounter: Helper = { x, raw in
  with(x) { isa, hart in
    if x[SystemSlot.cr4] & CR4.timeStampDisable != 0, x[SystemSlot.privilege] != 0 {
      return X64.raise(x, 13)
    }
    let count = isa.ticks(hart)
    x[Int(Lift.rax)] = count & 0xffff_ffff
    x[Int(Lift.rdx)] = count &>> 32
    if raw.op.c == 1 { x[Int(Lift.rcx)] = x[SystemSlot.tscAux] }
  }
}

/// RDRAND and RDSEED of `e` bytes, to `d`: CF where there is a source of random bytes.
///
/// - SeeAlso: Intel SDM volume 2, 'RDRAND - Read Random Number'.
let readRandom: Helper = { x, raw in
  let op = raw.op
  let bytes = X64.of(x)._withUnsafeGuaranteedRef { $0.random?(Int(op.e)) } ?? []
  let value = bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  put(x, Int(op.d), value, op.e)
  StatusFlags.set(x, bytes.isEmpty ? 0 : StatusFlags.carry)
}

/// XGETBV of XCR0.
let readExtendedControl: Helper = { x, _ in
  guard x[SystemSlot.cr4] & CR4.osXSAVE != 0 else { return X64.raise(x, 6) }
  guard x[Int(Lift.rcx)] & 0xffff_ffff == 0 else { return X64.raise(x, 13) }
  x[Int(Lift.rax)] = x[SystemSlot.xcr0]
  x[Int(Lift.rdx)] = 0
}

/// Segment selector `c`, to `d`.
let readSelector: Helper = { x, raw in
  x[Int(raw.op.d)] = x[SystemSlot.selectors + Int(raw.op.c)]
}

/// ENTER: `a` and `b` are the low and high byte of the frame's size, `c` the nesting level.
///
/// - SeeAlso: Intel SDM volume 2, 'ENTER - Make Stack Frame for Procedure Parameters'.
let enterFrame: Helper = { x, raw in
  let op = raw.op
  let frame = UInt64(op.a) | UInt64(op.b) &<< 8
  let level = op.c & 31
  let size = UInt64(op.e)
  x[SystemSlot.stackAccess] = 1
  defer { x[SystemSlot.stackAccess] = 0 }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    var top = x[Int(Lift.rsp)]
    var base = x[Int(Lift.rbp)]
    let isLegacy = X64.isLegacy(x)
    let width = X64.stackMask(x)
    func failed() -> Bool { x[Slot.pending] == Pending.exception.rawValue }
    func address(_ offset: UInt64, store: Bool) -> UInt64? {
      let offset = offset & width
      return isLegacy ? X64.linear(SegmentRegister.ss, offset, size, store: store, x) : offset
    }
    func push(_ value: UInt64) -> Bool {
      top &-= size
      guard let at = address(top, store: true) else { return false }
      hart.observedStore(at, size, value)
      return !failed()
    }
    guard push(base) else { return }
    let here = top
    if level > 0 {
      for _ in 1..<max(level, 1) {
        base &-= size
        guard let at = address(base, store: false) else { return }
        let value = hart.observedLoad(at, size)
        if failed() { return }
        guard push(value) else { return }
      }
      guard push(here) else { return }
    }
    top &-= frame
    // The new top must be writable.
    guard let at = address(top, store: true) else { return }
    _ = hart.loadForModify(at, size)
    if failed() { return }
    put(x, Int(Lift.rbp), here & width, op.e)
    X64.setSP(top, x, mask: width)
  }
}
