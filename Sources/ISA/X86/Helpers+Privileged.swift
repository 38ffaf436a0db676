import Engine

/// Runs `body` with the hart and its instruction set.
@inline(__always)
func with(_ x: UnsafeMutablePointer<UInt64>, _ body: (X64, Hart) -> Void) {
  X64.of(x)._withUnsafeGuaranteedRef { isa in
    Hart.of(x)._withUnsafeGuaranteedRef { hart in body(isa, hart) }
  }
}

/// The same for what throws the fault that it raises.
@inline(__always)
func trying(
  _ x: UnsafeMutablePointer<UInt64>, _ body: (X64, Hart) throws(Fault) -> Void
) {
  with(x) { isa, hart in
    do throws(Fault) { try body(isa, hart) } catch { error.raise(x) }
  }
}

/// The same for what only privilege 0 may do.
@inline(__always)
private func privileged(
  _ x: UnsafeMutablePointer<UInt64>, _ body: (X64, Hart) throws(Fault) -> Void
) {
  guard x[SystemSlot.privilege] == 0 else { return X64.raise(x, 13) }
  trying(x, body)
}

/// #GP(0) but at privilege 0.
let requireKernel: Helper = { x, _ in if x[SystemSlot.privilege] != 0 { X64.raise(x, 13) } }

/// #GP(0) where CR4.UMIP hides the system's registers from programs.
let requireNoPrevention: Helper = { x, _ in
  if x[SystemSlot.privilege] != 0, x[SystemSlot.cr4] & CR4.userPrevention != 0 {
    X64.raise(x, 13)
  }
}

/// #UD without CR4.FSGSBASE.
let requireBases: Helper = { x, _ in
  if x[SystemSlot.cr4] & CR4.segmentBases == 0 { X64.raise(x, 6) }
}

/// HLT.
let halt: Helper = { x, _ in
  privileged(x) { (_, hart) throws(Fault) in
    // A step ends the wait at once.
    if x[Slot.single] & X64.stepped != 0 || x[SystemSlot.debugHits] != 0 { return }
    x[SystemSlot.halted] = 1
    // This was the one instruction that interrupts had to wait for.
    x[SystemSlot.shadow] = Shadow.none
    X64.updateMode(hart)
    x[Slot.pending] = Pending.wait.rawValue
  }
}

/// HLT was executed and no interrupt has come: the pc stays behind it.
let waitOn: Helper = { x, _ in
  x[Slot.pc] &-= 1
  x[Slot.pending] = Pending.wait.rawValue
}

/// CLTS.
let clearTaskSwitched: Helper = { x, _ in
  privileged(x) { (_, hart) throws(Fault) in
    x[SystemSlot.cr0] &= ~CR0.taskSwitched
    X64.updateMode(hart)
  }
}

/// RDMSR.
///
/// - SeeAlso: Intel SDM volume 2, 'RDMSR - Read From Model Specific Register'.
let readModelSpecific: Helper = { x, _ in
  privileged(x) { (isa, hart) throws(Fault) in
    let number = UInt32(truncatingIfNeeded: x[Int(Lift.rcx)])
    guard let value = isa.readModelRegister(number, hart) else { throw .protection }
    x[Int(Lift.rax)] = value & 0xffff_ffff
    x[Int(Lift.rdx)] = value >> 32
  }
}

/// WRMSR.
///
/// - SeeAlso: Intel SDM volume 2, 'WRMSR - Write to Model Specific Register'.
let writeModelSpecific: Helper = { x, _ in
  privileged(x) { (isa, hart) throws(Fault) in
    let number = UInt32(truncatingIfNeeded: x[Int(Lift.rcx)])
    let value = x[Int(Lift.rax)] & 0xffff_ffff | x[Int(Lift.rdx)] << 32
    guard isa.writeModelRegister(number, value, hart) else { throw .protection }
  }
}

/// SWAPGS.
let swapBases: Helper = { x, _ in
  guard x[SystemSlot.privilege] == 0 else { return X64.raise(x, 13) }
  let base = x[Registers.gsBase]
  x[Registers.gsBase] = x[SystemSlot.kernelGSBase]
  x[SystemSlot.kernelGSBase] = base
}

/// INVLPG of the address in `a`.
let invalidatePage: Helper = { x, raw in
  with(x) { isa, hart in isa.invalidate(page: x[Int(raw.op.a)], hart) }
}

/// INVPCID: `a` type, `b` context, `c` slot of the address.
let invalidateContexts: Helper = { x, raw in
  let op = raw.op
  trying(x) { (isa, hart) throws(Fault) in
    guard
      isa.invalidate(type: x[Int(op.a)], context: x[Int(op.b)], va: x[Int(op.c)], hart)
    else { throw .protection }
  }
}

// MARK: Interrupts

/// CLI.
let maskInterrupts: Helper = { x, _ in
  guard RFlags.mayUseIO(x) else { return X64.raise(x, 13) }
  x[Registers.otherFlags] &= ~RFlags.interrupt
}

/// STI: interrupts wait for the end of the next instruction.
///
/// - SeeAlso: Intel SDM volume 2, 'STI - Set Interrupt Flag'.
let unmaskInterrupts: Helper = { x, _ in
  guard RFlags.mayUseIO(x) else { return X64.raise(x, 13) }
  guard x[Registers.otherFlags] & RFlags.interrupt == 0 else { return }
  x[Registers.otherFlags] |= RFlags.interrupt
  x[SystemSlot.shadow] = max(x[SystemSlot.shadow], Shadow.interrupts)
  with(x) { _, hart in X64.updateMode(hart) }
}

/// IRET of operands of `e` bytes.
let interruptReturn: Helper = { x, raw in
  let size = UInt64(raw.op.e)
  trying(x) { (isa, hart) throws(Fault) in try isa.returnFromInterrupt(size: size, hart) }
}

/// SYSRET.
///
/// Deviation: there is no compatibility mode to return to.
///
/// - SeeAlso: Intel SDM volume 2, 'SYSRET - Return From Fast System Call'.
let systemReturn: Helper = { x, raw in
  let size = raw.op.e
  guard x[SystemSlot.efer] & EFER.syscall != 0 else { return X64.raise(x, 6) }
  privileged(x) { (isa, hart) throws(Fault) in
    guard size == 8, X64.isCanonical(x[Int(Lift.rcx)], x) else { throw .protection }
    isa.leaveSystem(hart)
  }
}

/// VMCALL: to the environment where there is one that serves the kernel.
///
/// - SeeAlso: Intel SDM volume 3, 'VMCALL - Call to VM Monitor'.
let callEnvironment: Helper = { x, _ in
  with(x) { _, hart in
    guard x[SystemSlot.privilege] == 0, hart.environment != nil else { return X64.raise(x, 6) }
    x[Slot.pending] = Pending.environment.rawValue
  }
}

/// CLAC, with `c` STAC.
let setAccessControl: Helper = { x, raw in
  guard x[SystemSlot.privilege] == 0 else { return X64.raise(x, 6) }
  if raw.op.c == 1 {
    x[Registers.otherFlags] |= RFlags.alignment
  } else {
    x[Registers.otherFlags] &= ~RFlags.alignment
  }
  with(x) { _, hart in X64.updateMode(hart) }
}

// MARK: Control and debug registers

/// MOV from CR `c` to `d`.
///
/// - SeeAlso: Intel SDM volume 2, 'MOV - Move to/from Control Registers'.
let readControlRegister: Helper = { x, raw in
  let op = raw.op
  guard [0, 2, 3, 4, 8].contains(op.c) else { return X64.raise(x, 6) }
  guard x[SystemSlot.privilege] == 0 else { return X64.raise(x, 13) }
  x[Int(op.d)] =
    switch op.c {
    case 0: x[SystemSlot.cr0]
    case 2: x[SystemSlot.faultAddress]
    case 3: x[SystemSlot.cr3]
    case 4: x[SystemSlot.cr4]
    default: x[SystemSlot.taskPriority] >> 4
    }
}

/// MOV to CR `c` from `a`.
let writeControlRegister: Helper = { x, raw in
  let op = raw.op
  guard [0, 2, 3, 4, 8].contains(op.c) else { return X64.raise(x, 6) }
  privileged(x) { (isa, hart) throws(Fault) in
    let value = x[Int(op.a)]
    switch op.c {
    case 0: guard isa.writeCR0(value, hart) else { throw .protection }
    case 2: x[SystemSlot.faultAddress] = value
    case 3: guard isa.writeCR3(value, hart) else { throw .protection }
    case 4: guard isa.writeCR4(value, hart) else { throw .protection }
    default:
      guard value < 16 else { throw .protection }
      x[SystemSlot.taskPriority] = value << 4
      x[Slot.checkInterrupts] = 1
    }
  }
}

/// The slot of a debug register; DR4 and DR5 are other names of DR6 and DR7 unless CR4.DE.
private func debugSlot(_ number: UInt8, _ x: UnsafeMutablePointer<UInt64>) -> Int? {
  switch number {
  case 0..<4: SystemSlot.debug + Int(number)
  case 4, 5:
    x[SystemSlot.cr4] & CR4.debugging != 0 ? nil : SystemSlot.debugStatus + Int(number - 4)
  case 6, 7: SystemSlot.debugStatus + Int(number - 6)
  default: nil
  }
}

/// #DB where DR7.GD guards the debug registers.
///
/// - SeeAlso: Intel SDM volume 3, 'General-Detect Exception Condition'.
private func isGuarded(_ x: UnsafeMutablePointer<UInt64>) -> Bool {
  guard x[SystemSlot.debugControl] & DebugControl.generalDetect != 0 else { return false }
  X64.raiseDebug(x, DebugStatus.guarded)
  return true
}

/// MOV from DR `c` to `d`.
///
/// - SeeAlso: Intel SDM volume 2, 'MOV - Move to/from Debug Registers'.
let readDebugRegister: Helper = { x, raw in
  let op = raw.op
  guard let slot = debugSlot(op.c, x) else { return X64.raise(x, 6) }
  guard x[SystemSlot.privilege] == 0 else { return X64.raise(x, 13) }
  if isGuarded(x) { return }
  x[Int(op.d)] = x[slot]
}

/// MOV to DR `c` from `a`.
let writeDebugRegister: Helper = { x, raw in
  let op = raw.op
  guard let slot = debugSlot(op.c, x) else { return X64.raise(x, 6) }
  privileged(x) { (isa, hart) throws(Fault) in
    if isGuarded(x) { return }
    let value = x[Int(op.a)]
    switch slot {
    case SystemSlot.debugStatus:
      guard value >> 32 == 0 else { throw .protection }
      x[slot] = value & 0xe00f | DebugStatus.fixed
    case SystemSlot.debugControl:
      guard value >> 32 == 0 else { throw .protection }
      isa.writeDebug(slot, value & 0xffff_23ff | DebugControl.fixed, hart)
    default: isa.writeDebug(slot, value, hart)
    }
  }
}

/// XSETBV.
///
/// - SeeAlso: Intel SDM volume 2, 'XSETBV - Set Extended Control Register'.
let writeExtendedControl: Helper = { x, _ in
  guard x[SystemSlot.cr4] & CR4.osXSAVE != 0 else { return X64.raise(x, 6) }
  privileged(x) { (isa, hart) throws(Fault) in
    let value = x[Int(Lift.rax)] & 0xffff_ffff | x[Int(Lift.rdx)] << 32
    guard x[Int(Lift.rcx)] & 0xffff_ffff == 0, value & StateImage.x87 != 0,
      value & ~CPUID.components(isa.features) == 0,
      value & StateImage.enabledAVX != StateImage.avx
    else {
      throw .protection
    }
    x[SystemSlot.xcr0] = value
    X64.updateMode(hart)
  }
}

/// What `readSystem` reads.
enum SystemValue {
  static let cr0: UInt8 = 0, localTable: UInt8 = 1, task: UInt8 = 2, processor: UInt8 = 3
}

/// A ``SystemValue`` `c`, to `d`.
let readSystem: Helper = { x, raw in
  let op = raw.op
  let slot =
    switch op.c {
    case SystemValue.cr0: SystemSlot.cr0
    case SystemValue.localTable: SystemSlot.ldtSelector
    case SystemValue.task: SystemSlot.taskSelector
    default: SystemSlot.tscAux
    }
  x[Int(op.d)] = x[slot]
}

/// LMSW: PE can be set but not cleared.
///
/// - SeeAlso: Intel SDM volume 2, 'LMSW - Load Machine Status Word'.
let loadStatusWord: Helper = { x, raw in
  let value = x[Int(raw.op.a)] & 0xf
  with(x) { isa, hart in
    let old = x[SystemSlot.cr0]
    _ = isa.writeCR0(old & ~0xe | value | old & CR0.protection, hart)
  }
}

// MARK: Ports

/// Whether a port may be used: I/O privilege, or the task's permission bits.
///
/// - SeeAlso: Intel SDM volume 1, 'I/O Permission Bit Map'.
/// - Returns: `false` with the exception pending.
func mayUsePort(_ x: UnsafeMutablePointer<UInt64>, _ port: UInt16, _ size: UInt64) -> Bool {
  // In virtual-8086 mode the bits alone count.
  if RFlags.mayUseIO(x), !X64.isVirtual(x) { return true }
  var allowed = false
  trying(x) { (isa, hart) throws(Fault) in
    let limit = x[SystemSlot.taskLimit]
    guard limit >= 103 else { throw .protection }
    let base = x[SystemSlot.taskBase]
    let bits = try isa.implicitly(hart) { () throws(Fault) in
      let offset = try isa.load(base &+ 102, 2, hart) &+ UInt64(port) >> 3
      guard offset &+ 1 <= limit else { throw .protection }
      return try isa.load(base &+ offset, 2, hart)
    }
    guard bits >> UInt64(port & 7) & ((1 << size) &- 1) == 0 else { throw .protection }
    allowed = true
  }
  return allowed
}

/// Has breakpoints for ports see an access.
///
/// - Returns: `false` where the instruction must begin anew, as pending.
func notesPort(_ x: UnsafeMutablePointer<UInt64>, _ port: UInt16, _ size: UInt64) -> Bool {
  X64.of(x)._withUnsafeGuaranteedRef { isa in
    Hart.of(x)._withUnsafeGuaranteedRef { isa.allows(port: port, size, $0) }
  }
}

/// Reads a port.
func readPort(_ hart: Hart, _ port: UInt16, _ size: UInt64) -> UInt64 {
  let ports = X64.of(hart.x)._withUnsafeGuaranteedRef { $0.ports }
  let value = ports?.read(port: port, size: Int(size)) ?? .max
  return UInt64(value) & mask(UInt8(truncatingIfNeeded: size))
}

/// Writes a port.
func writePort(_ hart: Hart, _ port: UInt16, _ size: UInt64, _ value: UInt64) {
  let ports = X64.of(hart.x)._withUnsafeGuaranteedRef { $0.ports }
  let low = value & mask(UInt8(truncatingIfNeeded: size))
  ports?.write(port: port, size: Int(size), UInt32(truncatingIfNeeded: low))
}

/// IN from the port in `a`, `e` bytes.
let portInput: Helper = { x, raw in
  let op = raw.op
  let port = UInt16(truncatingIfNeeded: x[Int(op.a)])
  guard mayUsePort(x, port, UInt64(op.e)), notesPort(x, port, UInt64(op.e)) else { return }
  let value = Hart.of(x)._withUnsafeGuaranteedRef { readPort($0, port, UInt64(op.e)) }
  put(x, Int(Lift.rax), value, op.e)
}

/// OUT to the port in `a`, `e` bytes.
let portOutput: Helper = { x, raw in
  let op = raw.op
  let port = UInt16(truncatingIfNeeded: x[Int(op.a)])
  guard mayUsePort(x, port, UInt64(op.e)), notesPort(x, port, UInt64(op.e)) else { return }
  Hart.of(x)._withUnsafeGuaranteedRef {
    writePort($0, port, UInt64(op.e), x[Int(Lift.rax)])
  }
}

// MARK: Segments and tables

/// LGDT, with `c` LIDT: `a` the limit, `b` the base.
let loadTable: Helper = { x, raw in
  let op = raw.op
  // Of an operand of 16 bits three bytes of the base count.
  if op.e == 2 { x[Int(op.b)] &= 0xff_ffff }
  guard X64.isCanonical(x[Int(op.b)], x) else { return X64.raise(x, 13) }
  let slot = op.c == 0 ? SystemSlot.gdtBase : SystemSlot.idtBase
  x[slot] = x[Int(op.b)]
  x[slot + 1] = x[Int(op.a)]
}

/// SGDT, with `c` SIDT: the limit to `d`, the base to `a`.
let readTable: Helper = { x, raw in
  let op = raw.op
  let slot = op.c == 0 ? SystemSlot.gdtBase : SystemSlot.idtBase
  x[Int(op.a)] = x[slot]
  x[Int(op.d)] = x[slot + 1]
}

/// LLDT.
let loadLocal: Helper = { x, raw in
  let selector = x[Int(raw.op.a)]
  trying(x) { (isa, hart) throws(Fault) in try isa.loadLocalTable(selector, hart) }
}

/// LTR.
let loadTaskRegister: Helper = { x, raw in
  let selector = x[Int(raw.op.a)]
  trying(x) { (isa, hart) throws(Fault) in try isa.loadTask(selector, hart) }
}

/// MOV or POP to segment register `c`; POP takes `e` bytes off the stack.
let loadSegmentRegister: Helper = { x, raw in
  let op = raw.op
  trying(x) { (isa, hart) throws(Fault) in
    let mask = X64.stackMask(x)
    try isa.loadSegment(Int(op.c), x[Int(op.a)], hart)
    if op.e != 0 { X64.setSP(x[Int(Lift.rsp)] &+ UInt64(op.e), x, mask: mask) }
    if op.c == SegmentRegister.ss {
      x[SystemSlot.shadow] = Shadow.stack
      X64.updateMode(hart)
    }
  }
}

/// LSS, LFS, LGS: segment register `c` from `b`, general register `d` from `a`.
let loadFarPointer: Helper = { x, raw in
  let op = raw.op
  trying(x) { (isa, hart) throws(Fault) in
    try isa.loadSegment(Int(op.c), x[Int(op.b)], hart)
    put(x, Int(op.d), x[Int(op.a)], op.e)
  }
}

/// VERR, with `c` VERW, of the selector in `a`: ZF.
///
/// - SeeAlso: Intel SDM volume 2, 'VERR/VERW - Verify a Segment for Reading or Writing'.
let verifySegment: Helper = { x, raw in
  let op = raw.op
  trying(x) { (isa, hart) throws(Fault) in
    let found = try isa.visibleDescriptor(x[Int(op.a)], types: 0, hart)
    let good = found.map { op.c == 0 ? $0.isReadable : $0.isWritableData } ?? false
    setFlags(x, StatusFlags.zero, good ? StatusFlags.zero : 0)
  }
}

/// LAR, with `c` LSL, of the selector in `a`: to `d` of `e` bytes and ZF.
///
/// - SeeAlso: Intel SDM volume 2, 'LAR - Load Access Rights Byte' and 'LSL - Load Segment Limit'.
let describeSegment: Helper = { x, raw in
  let op = raw.op
  trying(x) { (isa, hart) throws(Fault) in
    // LDT and both states of a TSS; LAR also call gates and task gates. Long mode knows none of 16 bits,
    // and no tasks.
    var types: UInt64 = op.c == 0 ? 1 << 2 | 1 << 9 | 1 << 11 | 1 << 12 : 1 << 2 | 1 << 9 | 1 << 11
    if !X64.isLong(x) { types |= op.c == 0 ? 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 : 1 << 1 | 1 << 3 }
    let found = try isa.visibleDescriptor(x[Int(op.a)], types: types, hart)
    setFlags(x, StatusFlags.zero, found == nil ? 0 : StatusFlags.zero)
    guard let found else { return }
    put(x, Int(op.d), op.c == 0 ? found.low >> 32 & 0xff_ff00 : found.limit, op.e)
  }
}
