import Engine

// System instructions: nearly all of it is in helpers, for none is frequent.

extension Lift {
  /// Lifts a system instruction.
  ///
  /// - Returns: whether it is one.
  mutating func system() -> Bool {
    switch i.op {
    case .lldt, .ltr, .sldt, .str, .verr, .verw, .lar, .lsl:
      guard mode & X64.TranslationFlag.real == 0 else {
        builder.end(helper: raiseFault, c: 6)
        return true
      }
      segmentInstruction()
    case .hlt: builder.end(helper: halt)
    case .clts: builder.end(helper: clearTaskSwitched)
    // Caches are coherent.
    case .invd, .wbinvd: builder.emit(helper: requireKernel)
    case .rdmsr: builder.emit(helper: readModelSpecific)
    case .wrmsr: builder.end(helper: writeModelSpecific)
    // There are no counters.
    case .rdpmc: builder.end(helper: raiseFault, c: 13)
    case .swapgs: builder.emit(helper: swapBases)
    case .invlpg:
      builder.emit(helper: requireKernel)
      builder.end(helper: invalidatePage, a: addressValue(address()))
    case .invpcid: invalidateContext()
    case .cli: builder.emit(helper: maskInterrupts)
    case .sti: builder.end(helper: unmaskInterrupts)
    case .in, .out: port()
    case .ins: string(.ins)
    case .outs: string(.outs)
    case .lgdt, .lidt, .sgdt, .sidt: descriptorTable()
    case .smsw: storeSystem(SystemValue.cr0)
    case .lmsw:
      builder.emit(helper: requireKernel)
      builder.end(helper: loadStatusWord, a: read(0, T.a))
    case .clac, .stac: builder.end(helper: setAccessControl, c: i.op == .clac ? 0 : 1)
    case .vmcall: builder.end(helper: callEnvironment)
    case .rdrand:
      builder.emit(helper: readRandom, d: gpr(i.rm), e: i.size)
      known = .unknown
    case .xsetbv: builder.end(helper: writeExtendedControl)
    default: return registersAndTransfers()
    }
    return true
  }

  /// What looks at descriptors: not in real mode.
  private mutating func segmentInstruction() {
    switch i.op {
    case .sldt: storeSystem(SystemValue.localTable)
    case .str: storeSystem(SystemValue.task)
    case .verr, .verw:
      builder.emit(helper: verifySegment, a: read(0, T.a), c: i.op == .verr ? 0 : 1)
      known = .unknown
    case .lar, .lsl:
      builder.emit(
        helper: describeSegment, d: gpr(i.reg), a: read(1, T.a), c: i.op == .lar ? 0 : 1,
        e: i.size)
      known = .unknown
    default:
      builder.emit(helper: requireKernel)
      let from = read(0, T.a)
      builder.end(helper: i.op == .lldt ? loadLocal : loadTaskRegister, a: from)
    }
  }

  private mutating func registersAndTransfers() -> Bool {
    switch i.op {
    case .mov_from_cr: builder.emit(helper: readControlRegister, d: gpr(i.rm), c: i.reg)
    case .mov_to_cr: builder.end(helper: writeControlRegister, a: gpr(i.rm), c: i.reg)
    case .mov_from_dr: builder.emit(helper: readDebugRegister, d: gpr(i.rm), c: i.reg)
    case .mov_to_dr: builder.end(helper: writeDebugRegister, a: gpr(i.rm), c: i.reg)
    case .mov_to_seg:
      // CS can't be loaded so.
      guard i.reg & 7 < 6, i.reg & 7 != 1 else {
        builder.end(helper: raiseFault, c: 6)
        break
      }
      builder.end(helper: loadSegmentRegister, a: read(1, T.a), c: i.reg & 7)
    case .push_seg:
      builder.emit(helper: readSelector, d: T.a, c: row[0].register)
      push(T.a, i.size)
    case .pop_seg:
      load(T.a, stack(0, i.size), i.size)
      builder.end(helper: loadSegmentRegister, a: T.a, c: row[0].register, e: i.size)
    case .load_far:
      let (offset, selector) = farPointer(1)
      // LES and LDS have opcodes of their own.
      let register: UInt8 =
        switch i.opcode {
        case 0xb2: 2
        case 0xc4: 0
        case 0xc5: 3
        default: i.opcode & 7
        }
      builder.end(
        helper: loadFarPointer, d: gpr(i.reg), a: offset, b: selector, c: register, e: i.size)
    case .jmp_far, .call_far:
      let (offset, selector) = row[0].place == .farPointer ? immediatePointer() : farPointer(0)
      builder.end(
        helper: farTransfer, a: offset, b: selector, c: i.op == .call_far ? 1 : 0, e: i.size)
    case .ret_far:
      let drop = row.immediate == .none ? 0 : i.imm
      builder.end(
        helper: farReturn, a: UInt8(truncatingIfNeeded: drop),
        b: UInt8(truncatingIfNeeded: drop >> 8), e: i.size)
    case .iret: builder.end(helper: interruptReturn, e: i.size)
    case .sysret: builder.end(helper: systemReturn, e: i.size)
    default: return false
    }
    return true
  }

  /// The offset and the selector in the instruction.
  private func immediatePointer() -> (offset: UInt8, selector: UInt8) {
    builder.emit(.movi, d: T.a, imm: i.imm)
    builder.emit(.movi, d: T.b, imm: i.disp)
    return (T.a, T.b)
  }

  /// Loads the offset and the selector of memory operand `n`.
  private func farPointer(_ n: Int) -> (offset: UInt8, selector: UInt8) {
    var at = plain(address())
    load(T.a, at, i.size)
    at.imm &+= Int64(i.size)
    load(T.b, at, 2)
    return (T.a, T.b)
  }

  /// - SeeAlso: Intel SDM volume 2, 'LGDT/LIDT - Load Global/Interrupt Descriptor Table Register'
  ///   and 'SGDT - Store Global Descriptor Table Register'.
  private mutating func descriptorTable() {
    let which: UInt8 = i.op == .lgdt || i.op == .sgdt ? 0 : 1
    let isLoad = i.op == .lgdt || i.op == .lidt
    builder.emit(helper: isLoad ? requireKernel : requireNoPrevention)
    let at = plain(address())
    var behind = at
    behind.imm &+= 2
    let size: UInt8 = legacy ? 4 : 8
    if isLoad {
      load(T.a, at, 2)
      load(T.b, behind, size)
      builder.end(
        helper: loadTable, a: T.a, b: T.b, c: which, e: legacy && i.size == 2 ? 2 : size)
    } else {
      loadForModify(T.b, behind, size)
      builder.emit(helper: readTable, d: T.a, a: T.b, c: which)
      store(T.a, at, 2)
      store(T.b, behind, size)
    }
  }

  /// SMSW, SLDT, STR.
  private mutating func storeSystem(_ value: UInt8) {
    builder.emit(helper: requireNoPrevention)
    builder.emit(helper: readSystem, d: T.a, c: value)
    if isMemory(0) { store(T.a, address(), 2) } else { writeLow(0, T.a) }
  }

  private mutating func invalidateContext() {
    builder.emit(helper: requireKernel)
    var at = plain(address())
    load(T.a, at, 8)
    at.imm &+= 8
    load(T.b, at, 8)
    builder.end(helper: invalidateContexts, a: gpr(i.reg), b: T.a, c: T.b)
  }

  /// - SeeAlso: Intel SDM volume 2, 'IN - Input From Port' and 'OUT - Output to Port'.
  private mutating func port() {
    let isInput = i.op == .in
    let operand = isInput ? 1 : 0
    if row[operand].place == .immediate {
      builder.emit(.movi, d: T.a, imm: i.imm)
    } else {
      builder.emit(.zext16, d: T.a, a: Lift.rdx)
    }
    let size = min(self.size(1 - operand), 4)
    builder.emit(helper: isInput ? portInput : portOutput, a: T.a, e: size)
  }
}
