import Testing

@testable import Engine
@testable import X86

/// Privileged architecture by the manual: there is no oracle in user mode.
@Suite struct SystemModeTests {
  // MARK: Delivery

  /// - SeeAlso: Intel SDM volume 3, '64-Bit Mode Stack Frame' and 'Interrupt Stack Table'.
  @Test func aFaultOfUserModePushesAFrameOnTheTasksStack() throws {
    let bench = try #require(SystemBench())
    bench.enterUser()
    bench.run([0x0f, 0x0b])
    #expect(bench.isAt(6))
    #expect(bench[4] == SystemBench.stackTop - 40)
    #expect(
      bench.words(5) == [
        SystemBench.userCode, 0x33, 0x10202, SystemBench.userStack, SystemBench.userSS,
      ])
    #expect(bench.isa.privilege(bench.hart) == 0)
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.ss] == 0)
    // An interrupt gate.
    #expect(RFlags.read(bench.x) & RFlags.interrupt == 0)
  }

  @Test func aTrapGateLeavesInterruptsOnAndAStackOfTheTableIsTaken() throws {
    let bench = try #require(SystemBench())
    bench.gate(3, type: 0xef, stack: 1)
    bench.enterUser()
    bench.run([0xcc])
    #expect(bench.isAt(3))
    #expect(bench[4] == SystemBench.exceptionStack - 40)
    // A trap: behind the instruction, RF as it was.
    #expect(bench.words(3) == [SystemBench.userCode + 1, 0x33, 0x202])
    #expect(RFlags.read(bench.x) & RFlags.interrupt != 0)
  }

  @Test func inTheKernelTheStackIsAligned() throws {
    let bench = try #require(SystemBench())
    bench[4] = 0x1f00b
    bench.run([0x0f, 0x0b])
    #expect(bench.isAt(6))
    #expect(bench[4] == 0x1f000 - 40)
    #expect(bench.words(5)[3] == 0x1f00b)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Error Code'.
  @Test(
    arguments: [
      (0x80, 0x8e, 13, 0x402), (0x80, 0x6e, 11, 0x402), (0x80, 0xe5, 13, 0x402),
      (3, 0x8e, 13, 0x1a),
    ] as [(UInt64, UInt64, UInt64, UInt64)])
  func gatesAreCheckedForPrograms(
    vector: UInt64, type: UInt64, fault: UInt64, code: UInt64
  ) throws {
    let bench = try #require(SystemBench())
    bench.gate(vector, type: type)
    bench.enterUser()
    bench.run(vector == 3 ? [0xcc] : [0xcd, UInt8(vector)])
    #expect(bench.isAt(fault))
    #expect(bench.words(2) == [code, SystemBench.userCode])
  }

  @Test func aGateBeyondTheLimitAndABadSegment() throws {
    let bench = try #require(SystemBench())
    bench.x[SystemSlot.idtLimit] = 0x7f * 16 + 15
    bench.run([0xcd, 0x80])
    #expect(bench.isAt(13))
    #expect(bench.words(1) == [0x402])
    let other = try #require(SystemBench())
    // A data segment; as of an exception, so external.
    other.gate(6, selector: 0x18)
    other.run([0x0f, 0x0b])
    #expect(other.isAt(13))
    #expect(other.words(1) == [0x19])
  }

  /// - SeeAlso: Intel SDM volume 3, 'Double Fault Exception (#DF)'.
  @Test func doubleFaultsAndTheShutdown() throws {
    let bench = try #require(SystemBench())
    // #PF, whose gate is not present: #NP while a page fault is delivered.
    bench.gate(14, type: 0x0e)
    bench.map(0x50000, 0, present: false)
    bench.run([0x8b, 0x04, 0x25, 0, 0, 5, 0])
    #expect(bench.isAt(8))
    #expect(bench.words(2) == [0, SystemBench.kernelCode])
    #expect(bench.x[SystemSlot.faultAddress] == 0x50000)

    let third = try #require(SystemBench())
    third.gate(14, type: 0x0e)
    third.gate(8, type: 0x0e)
    third.map(0x50000, 0, present: false)
    #expect(third.run([0x8b, 0x04, 0x25, 0, 0, 5, 0]) == .requested)
    #expect(third.isa.isShutDown(third.hart))
    #expect(third.go() == .waiting)
  }

  /// The table of gates is mapped where there is no memory: every delivery is a machine check.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Machine-Check Exception (#MC)'.
  @Test func aMachineCheckDuringDeliveryShutsDown() throws {
    let bench = try #require(SystemBench())
    bench.ram.store(
      SystemBench.pageTable + (SystemBench.idt >> 12) * 8, 1 << 40 | PTE.present | PTE.write)
    #expect(bench.run([0x0f, 0x0b]) == .requested)
    #expect(bench.isa.isShutDown(bench.hart))
    // The stack of a double fault is there no more than that of the first one.
    let double = try #require(SystemBench())
    double.gate(6, type: 0x0e)
    double.gate(11, type: 0x0e)
    double.gate(8, stack: 1)
    double.ram.store(SystemBench.tss + 36, UInt64(0x50ff8))
    double.ram.store(
      SystemBench.pageTable + (0x50000 >> 12) * 8, 1 << 40 | PTE.present | PTE.write)
    #expect(double.run([0x0f, 0x0b]) == .requested)
    #expect(double.isa.isShutDown(double.hart))
  }

  // MARK: Paging

  /// - SeeAlso: Intel SDM volume 3, 'Page-Fault Exceptions'.
  @Test(
    arguments: [
      // Bits of the page, code, the error code in kernel mode and in user mode; nil: no fault.
      (0, [0x8b, 0x00], nil, 5),
      (PTE.user, [0x8b, 0x00], nil, nil),
      (PTE.user, [0x89, 0x00], 3, 7),
      (PTE.user | PTE.write | PTE.noExecute, [0xff, 0xe0], 17, 21),
      (PTE.user | PTE.write | 1 << 50, [0x8b, 0x00], 9, 13),
    ] as [(UInt64, [UInt8], UInt64?, UInt64?)])
  func rights(bits: UInt64, code: [UInt8], kernel: UInt64?, user: UInt64?) throws {
    for isUser in [false, true] {
      let bench = try #require(SystemBench())
      bench.map(0x41000, bits)
      if isUser { bench.enterUser() }
      bench[0] = 0x41000
      // A jump faults where it goes to.
      bench.run(code, code[0] == 0xff ? 2 : 1)
      let expected = isUser ? user : kernel
      #expect(bench.isAt(14) == (expected != nil), "\(isUser)")
      if let expected {
        #expect(bench.words(1) == [expected])
        #expect(bench.x[SystemSlot.faultAddress] == 0x41000)
      }
    }
  }

  @Test func supervisorsAreKeptFromUserPages() throws {
    for (bit, code, count) in [
      (CR4.executionPrevention, [0xff, 0xe0], 2), (CR4.accessPrevention, [0x8b, 0x00], 1),
    ] as [(UInt64, [UInt8], UInt64)] {
      let bench = try #require(SystemBench())
      #expect(bench.isa.writeCR4(bench.x[SystemSlot.cr4] | bit, bench.hart))
      bench[0] = SystemBench.userData
      bench.run(code, count)
      #expect(bench.isAt(14))
      #expect(bench.words(1) == [count == 2 ? 17 : 1])
    }
    // STAC lifts it.
    let bench = try #require(SystemBench())
    #expect(bench.isa.writeCR4(bench.x[SystemSlot.cr4] | CR4.accessPrevention, bench.hart))
    bench[0] = SystemBench.userData
    bench.run([0x0f, 0x01, 0xcb, 0x8b, 0x08, 0x0f, 0x01, 0xca, 0x8b, 0x08], 3)
    #expect(bench.hart.pc == SystemBench.kernelCode + 8)
    bench.go()
    #expect(bench.isAt(14))
  }

  @Test func accessedAndDirtyAreSet() throws {
    let bench = try #require(SystemBench())
    bench[0] = 0x50000
    bench.run([0x8b, 0x08, 0x89, 0x08])
    #expect(bench.entry(0x50000) & (PTE.accessed | PTE.dirty) == PTE.accessed)
    #expect(bench.ram.load(0x1000, as: UInt64.self).map { $0 & PTE.accessed != 0 } == true)
    bench.go()
    #expect(bench.entry(0x50000) & (PTE.accessed | PTE.dirty) == PTE.accessed | PTE.dirty)
  }

  /// A stale translation stays until INVLPG or a write of CR3 where caches are architectural.
  @Test func staleTranslations() throws {
    for caches in CacheModel.allCases {
      let bench = try #require(SystemBench(caches))
      bench[0] = 0x50000
      bench[3] = 0x1000
      // mov ecx, [rax]; (unmapped) mov ecx, [rax]; invlpg [rax]; mov ecx, [rax]
      bench.run([0x8b, 0x08, 0x8b, 0x08, 0x0f, 0x01, 0x38, 0x8b, 0x08])
      bench.map(0x50000, 0, present: false)
      bench.go()
      #expect(bench.isAt(14) == (caches == .coherent))
      if caches == .architectural {
        bench.go(2)
        #expect(bench.isAt(14))
      }
    }
  }

  @Test func anAddressMustBeCanonical() throws {
    let bench = try #require(SystemBench())
    bench[0] = 0x8000_0000_0000
    bench.run([0x8b, 0x08])
    #expect(bench.isAt(13))
    let stack = try #require(SystemBench())
    stack[5] = 0x8000_0000_0000
    stack.run([0x8b, 0x4d, 0x00])
    #expect(stack.isAt(12))
  }

  // MARK: System calls and returns

  /// - SeeAlso: Intel SDM volume 2, 'SYSCALL - Fast System Call' and 'SYSRET - Return From Fast
  ///   System Call'.
  @Test func syscallAndSysret() throws {
    let bench = try #require(SystemBench())
    bench.x[SystemSlot.star] = 0x23 << 48 | 0x10 << 32
    bench.x[SystemSlot.lstar] = SystemBench.handlers
    bench.x[SystemSlot.flagMask] = 0x257fd5
    bench.enterUser(flags: 0x246)
    bench.run([0x0f, 0x05, 0x90])
    #expect(bench.hart.pc == SystemBench.handlers)
    #expect(bench[1] == SystemBench.userCode + 2)
    #expect(bench[11] == 0x246)
    #expect(RFlags.read(bench.x) == 2)
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.cs] == 0x10)
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.ss] == 0x18)
    #expect(bench.isa.privilege(bench.hart) == 0)
    bench.run([0x48, 0x0f, 0x07])
    #expect(bench.hart.pc == SystemBench.userCode + 2)
    #expect(RFlags.read(bench.x) == 0x246)
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.cs] == 0x33)
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.ss] == 0x2b)
    #expect(bench.isa.privilege(bench.hart) == 3)
  }

  /// SYSENTER, SYSEXIT and RSM; CPUID announces no SEP.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'SYSENTER - Fast System Call'.
  @Test(arguments: [0x34, 0x35, 0xaa] as [UInt8])
  func whatIsNotThereIsUndefined(opcode: UInt8) throws {
    let bench = try #require(SystemBench())
    bench.run([0x0f, opcode])
    #expect(bench.isAt(6))
    #expect(CPUID.leaf(1, 0).3 & 1 << 11 == 0)
    // The registers of SYSENTER are not there either.
    #expect(bench.isa.readModelRegister(0x174, bench.hart) == nil)
  }

  @Test func iretqGoesToUserModeAndIsChecked() throws {
    func frame(_ words: [UInt64]) throws -> SystemBench {
      let bench = try #require(SystemBench())
      bench[4] = 0x1e000
      for (index, word) in words.enumerated() { bench.ram.store(0x1e000 + UInt64(index * 8), word) }
      bench.run([0x48, 0xcf])
      return bench
    }
    let good = try frame([SystemBench.userCode, 0x33, 0x3246, SystemBench.userStack, 0x2b])
    #expect(good.hart.pc == SystemBench.userCode)
    #expect(good.isa.privilege(good.hart) == 3)
    #expect(RFlags.read(good.x) == 0x3246)
    #expect(good[4] == SystemBench.userStack)
    for (words, code) in [
      ([0x8000_0000_0000, 0x33, 2, 0, 0x2b], UInt64(0)),
      ([SystemBench.userCode, 0, 2, 0, 0x2b], 0),
      ([SystemBench.userCode, 0x2b, 2, 0, 0x2b], 0x28),
      ([SystemBench.userCode, 0x53, 2, 0, 0x2b], 0x50),
      ([SystemBench.userCode, 0x33, 2, 0, 0], 0),
      ([SystemBench.userCode, 0x33, 2, 0, 0x33], 0x30),
    ] as [([UInt64], UInt64)] {
      let bench = try frame(words)
      #expect(bench.isAt(13), "\(words)")
      #expect(bench.words(2) == [code, SystemBench.kernelCode])
    }
  }

  /// The frame of a far RET of 64-bit operands, executed in the kernel.
  private func farReturn(
    _ words: [UInt64], _ change: (SystemBench) -> Void = { _ in }
  ) throws
    -> SystemBench
  {
    let bench = try #require(SystemBench())
    // Code of privilege 1.
    bench.ram.store(SystemBench.gdt + 8, UInt64(0x00af_bb00_0000_ffff))
    change(bench)
    bench[4] = 0x1e000
    for (index, word) in words.enumerated() { bench.ram.store(0x1e000 + UInt64(index * 8), word) }
    bench.run([0x48, 0xcb])
    return bench
  }

  /// - SeeAlso: Intel SDM volume 2, 'RET - Return From Procedure'.
  @Test func farReturnsGoToUserModeAndAreChecked() throws {
    let words = [SystemBench.userCode, 0x33, SystemBench.userStack, SystemBench.userSS]
    let stackEntry = SystemBench.gdt + SystemBench.userSS & ~7
    let good = try farReturn(words) { $0.ram.store(stackEntry, UInt64(0x00cf_f200_0000_ffff)) }
    #expect(good.hart.pc == SystemBench.userCode)
    #expect(good.isa.privilege(good.hart) == 3)
    #expect(good[4] == SystemBench.userStack)
    #expect(good.x[SystemSlot.selectors + SegmentRegister.ss] == SystemBench.userSS)
    // The descriptor was used, and what it allows is known.
    #expect(good.ram.load(stackEntry, as: UInt64.self) == 0x00cf_f300_0000_ffff)
    #expect(good.x[SystemSlot.rights + SegmentRegister.ss] == 0xcff2)
    let inner = try farReturn([SystemBench.kernelCode, 9, 0x1d000, 1])
    #expect(inner.isa.privilege(inner.hart) == 1)
    #expect(inner[4] == 0x1d000)
    let near = try farReturn([SystemBench.kernelCode, 0x10])
    #expect(near.hart.pc == SystemBench.kernelCode)
    #expect(near[4] == 0x1e010)
    for (words, code) in [
      // A target that is not canonical; no code segment; data for code; beyond the table; no stack
      // for programs; code for a stack; a null stack of another privilege.
      ([0x8000_0000_0000, 0x33, 0, 0x2b], UInt64(0)), ([SystemBench.userCode, 0, 0, 0x2b], 0),
      ([SystemBench.userCode, 0x2b, 0, 0x2b], 0x28), ([SystemBench.userCode, 0x53, 0, 0x2b], 0x50),
      ([SystemBench.userCode, 0x33, 0, 0], 0), ([SystemBench.userCode, 0x33, 0, 0x33], 0x30),
      ([SystemBench.kernelCode, 9, 0, 0], 0),
    ] as [([UInt64], UInt64)] {
      let bench = try farReturn(words)
      #expect(bench.isAt(13), "\(words)")
      #expect(bench.words(2) == [code, SystemBench.kernelCode])
      #expect(bench.words(5)[4] == 0x1e000)
    }
  }

  /// - SeeAlso: Intel SDM volume 2, 'CALL - Call Procedure'.
  @Test func farCallsPushAndReturn() throws {
    func call(
      _ selector: UInt16, _ change: (SystemBench) -> Void = { _ in }
    ) throws
      -> SystemBench
    {
      let bench = try #require(SystemBench())
      // Code like the kernel's that nobody has used yet.
      bench.ram.store(SystemBench.gdt + 8, UInt64(0x00af_9a00_0000_ffff))
      bench.ram.store(0x50000, SystemBench.kernelCode + 0x100)
      bench.ram.store(0x50008, selector)
      bench[0] = 0x50000
      change(bench)
      // At the target RET far.
      bench.ram.write(SystemBench.kernelCode + 0x100, [0x48, 0xcb])
      bench.run([0x48, 0xff, 0x18])
      return bench
    }
    let bench = try call(8)
    #expect(bench.hart.pc == SystemBench.kernelCode + 0x100)
    #expect(bench[4] == 0x1f000 - 16)
    #expect(bench.words(2) == [SystemBench.kernelCode + 3, SystemBench.kernelCS])
    #expect(bench.x[SystemSlot.selectors + SegmentRegister.cs] == 8)
    bench.go()
    #expect(bench.hart.pc == SystemBench.kernelCode + 3)
    #expect(bench[4] == 0x1f000)
    // There is no way down, nor to data.
    for selector in [UInt16(0x33), 0x18] {
      let refused = try call(selector)
      #expect(refused.isAt(13))
      #expect(refused.words(1) == [UInt64(selector & ~3)])
    }
    // The descriptor can't be marked: nothing has happened yet.
    let faulting = try call(8) { $0.map(SystemBench.gdt, 0) }
    #expect(faulting.isAt(14))
    #expect(faulting.words(5)[1] == SystemBench.kernelCode)
    #expect(faulting.words(5)[4] == 0x1f000)
  }

  @Test func swapgsExchangesTheBases() throws {
    let bench = try #require(SystemBench())
    bench.x[Registers.gsBase] = 1
    bench.x[SystemSlot.kernelGSBase] = 2
    bench.run([0x0f, 0x01, 0xf8])
    #expect(bench.x[Registers.gsBase] == 2)
    #expect(bench.x[SystemSlot.kernelGSBase] == 1)
  }

  // MARK: Interrupts and single steps

  /// - SeeAlso: Intel SDM volume 2, 'STI - Set Interrupt Flag'.
  @Test func stiLetsOneInstructionPass() throws {
    let bench = try #require(SystemBench())
    bench.isa.interrupt(0x40, bench.hart)
    bench.run([0xfb, 0x90, 0x90], 3)
    #expect(bench.words(1) == [SystemBench.kernelCode + 2])
    // The third is the handler's first.
    #expect(bench.hart.pc > SystemBench.handler(0x40))
  }

  @Test func anInterruptWaitsForItsPriorityAndItsEnd() throws {
    let bench = try #require(SystemBench())
    bench.x[Registers.otherFlags] |= RFlags.interrupt
    for vector in [UInt64(0x40), 0x80] { bench.isa.interrupt(vector, bench.hart) }
    bench.run([0x90])
    #expect(bench.hart.pc == SystemBench.handler(0x80) + 2)
    // The other is of a lower class: it waits for the end of this one.
    bench.x[Registers.otherFlags] |= RFlags.interrupt
    bench.hart.requestInterruptCheck()
    bench.go()
    #expect(bench.hart.pc == SystemBench.handler(0x80) + 4)
    #expect(bench.isa.writeModelRegister(0x80b, 0, bench.hart))
    bench.go()
    #expect(bench.hart.pc == SystemBench.handler(0x40) + 2)
  }

  @Test func hltWaitsForAnInterrupt() throws {
    let bench = try #require(SystemBench())
    #expect(bench.run([0xfb, 0xf4, 0x90], 10) == .waiting)
    #expect(bench.hart.pc == SystemBench.kernelCode + 2)
    // Nothing has come: it goes on waiting.
    #expect(bench.go(10) == .waiting)
    #expect(bench.hart.pc == SystemBench.kernelCode + 2)
    bench.isa.interrupt(0x40, bench.hart)
    bench.go()
    #expect(bench.words(1) == [SystemBench.kernelCode + 2])
  }

  @Test func theDeadlineTimerFires() throws {
    let bench = try #require(SystemBench())
    #expect(bench.isa.writeModelRegister(0x80f, 0x1ff, bench.hart))
    #expect(bench.isa.writeModelRegister(0x832, 2 << 17 | 0x50, bench.hart))
    #expect(bench.isa.writeModelRegister(0x6e0, 100, bench.hart))
    #expect(bench.isa.timerDeadline(bench.hart) == 100)
    bench.isa.setTimeOffset(100, bench.hart)
    bench.isa.updateTimer(bench.hart)
    #expect(bench.isa.timerDeadline(bench.hart) == nil)
    bench.x[Registers.otherFlags] |= RFlags.interrupt
    bench.run([0x90])
    #expect(bench.hart.pc == SystemBench.handler(0x50) + 2)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Single-Step Exception Condition'.
  @Test func singleSteps() throws {
    let bench = try #require(SystemBench())
    bench.enterUser(flags: 0x302)
    bench.run([0x90, 0x90])
    #expect(bench.isAt(1))
    #expect(bench.words(3) == [SystemBench.userCode + 1, 0x33, 0x302])
    #expect(bench.x[SystemSlot.debugStatus] & DebugStatus.step != 0)
    #expect(RFlags.read(bench.x) & RFlags.trap == 0)
    // The step is no instruction of its own: both counts agree.
    #expect(bench.x[Slot.exceptions] == 0)
    // IRETQ back to it: the next one is stepped too.
    bench.run([0x48, 0xcf])
    #expect(bench.hart.pc == SystemBench.userCode + 1)
    bench.go()
    #expect(bench.isAt(1))
    #expect(bench.words(1) == [SystemBench.userCode + 2])
  }

  /// RF comes back by IRET, lasts for one instruction, and is in the frame of an interrupt before it.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Instruction-Breakpoint Exception Condition'.
  @Test func resumeLastsForOneInstruction() throws {
    func returned(_ flags: UInt64, _ code: [UInt8]) throws -> SystemBench {
      let bench = try #require(SystemBench())
      bench.ram.write(SystemBench.userCode, code)
      bench[4] = 0x1e000
      let frame = [SystemBench.userCode, 0x33, flags, SystemBench.userStack, SystemBench.userSS]
      for (index, word) in frame.enumerated() { bench.ram.store(0x1e000 + UInt64(index * 8), word) }
      bench.run([0x48, 0xcf])
      return bench
    }
    let bench = try returned(0x1_0202, [0x90, 0x9c, 0x90])
    #expect(RFlags.read(bench.x) == 0x1_0202)
    bench.go()
    #expect(bench.hart.pc == SystemBench.userCode + 1)
    #expect(RFlags.read(bench.x) == 0x202)
    // PUSHF never shows it.
    let pushed = try returned(0x1_0202, [0x9c])
    pushed.go()
    #expect(pushed.words(1) == [0x202])
    let interrupted = try returned(0x1_0202, [0x90])
    interrupted.isa.interrupt(0x40, interrupted.hart)
    interrupted.go()
    #expect(interrupted.words(3) == [SystemBench.userCode, 0x33, 0x1_0202])
    #expect(RFlags.read(interrupted.x) & RFlags.resume == 0)
    // A step is behind the instruction.
    let stepped = try returned(0x1_0302, [0x90])
    stepped.go()
    #expect(stepped.isAt(1))
    #expect(stepped.words(3) == [SystemBench.userCode + 1, 0x33, 0x302])
    // IRET that sets it anew while it is set.
    let again = try #require(SystemBench())
    again[4] = 0x1e000
    for first in [UInt64(0), 40] {
      let frame = [SystemBench.kernelCode, 0x10, 0x1_0002, 0x1e028 + first, 0x18]
      for (index, word) in frame.enumerated() {
        again.ram.store(0x1e000 + first + UInt64(index * 8), word)
      }
    }
    again.run([0x48, 0xcf], 2)
    #expect(RFlags.read(again.x) & RFlags.resume != 0)
    again.run([0x90])
    #expect(RFlags.read(again.x) & RFlags.resume == 0)
  }

  @Test func popfThatSetsTFStepsTheNextInstruction() throws {
    let bench = try #require(SystemBench())
    bench.enterUser()
    bench.ram.store(SystemBench.userStack, UInt64(0x302))
    bench.run([0x9d, 0x90, 0x90])
    #expect(bench.hart.pc == SystemBench.userCode + 1)
    bench.go()
    #expect(bench.isAt(1))
    #expect(bench.words(1) == [SystemBench.userCode + 2])
  }

  @Test func movToSSHoldsOffTheStep() throws {
    let bench = try #require(SystemBench())
    bench.enterUser(flags: 0x302)
    bench[0] = SystemBench.userSS
    bench.run([0x8e, 0xd0, 0x90])
    #expect(bench.hart.pc == SystemBench.userCode + 2)
    bench.go()
    #expect(bench.isAt(1))
    #expect(bench.words(1) == [SystemBench.userCode + 3])
  }

  // MARK: Registers

  @Test(
    arguments: [
      // CR0 with paging but no protection; reserved bits of CR3 and CR4; CR8 above 15.
      ([0x0f, 0x22, 0xc0], 0x8000_0000), ([0x0f, 0x22, 0xd8], 1 << 50),
      ([0x0f, 0x22, 0xe0], 1 << 40), ([0x44, 0x0f, 0x22, 0xc0], 16),
    ] as [([UInt8], UInt64)])
  func badControlRegisters(code: [UInt8], value: UInt64) throws {
    let bench = try #require(SystemBench())
    bench[0] = value
    bench.run(code)
    #expect(bench.isAt(13))
  }

  @Test func modelSpecificRegisters() throws {
    let bench = try #require(SystemBench())
    bench[1] = 0xc000_0102
    bench[0] = 0x1234_5678
    bench[2] = 0xffff_8000
    bench.run([0x0f, 0x30, 0x0f, 0x32], 2)
    #expect(bench.x[SystemSlot.kernelGSBase] == 0xffff_8000_1234_5678)
    #expect(bench[0] == 0x1234_5678)
    for (number, high) in [(0xc000_0102, 0x8000), (0xdead, 0), (0x277, 2)] as [(UInt64, UInt64)] {
      let other = try #require(SystemBench())
      other[1] = number
      other[2] = high
      other.run([0x0f, 0x30])
      #expect(other.isAt(13), "\(number)")
    }
  }

  /// - SeeAlso: Intel SDM volume 2, 'MOV - Move'.
  @Test func segmentLoads() throws {
    for (selector, fault, code) in [
      (0, nil, 0), (0x2b, nil, 0), (0x53, 13, 0x50), (0x40, 13, 0x40), (0x38, 13, 0x38),
    ] as [(UInt64, UInt64?, UInt64)] {
      let bench = try #require(SystemBench())
      bench.enterUser()
      bench[0] = selector
      bench.run([0x8e, 0xd8])
      if let fault {
        #expect(bench.isAt(fault), "\(selector)")
        #expect(bench.words(1) == [code])
      } else {
        #expect(bench.x[SystemSlot.selectors + SegmentRegister.ds] == selector)
      }
    }
    // SS of user mode must not be null.
    let bench = try #require(SystemBench())
    bench.enterUser()
    bench[0] = 0
    bench.run([0x8e, 0xd0])
    #expect(bench.isAt(13))
  }

  @Test func portsNeedPermission() throws {
    for (allowed, base) in [(true, 100), (false, 104)] as [(Bool, UInt16)] {
      let bench = try #require(SystemBench())
      bench.ram.store(SystemBench.tss + 102, base)
      bench.ram.store(SystemBench.tss + 100, UInt16(0))
      bench.enterUser()
      bench.run([0xe4, 0x08])
      #expect(bench.isAt(13) == !allowed)
      if allowed { #expect(bench[0] & 0xff == 0xff) }
    }
  }

  @Test func savedStateIsRestored() throws {
    let bench = try #require(SystemBench())
    for word in 0..<64 { bench.x[Registers.vector + word] = UInt64(word + 1) }
    bench.x[Registers.mxcsr] = 0x1fa0
    bench.x[Registers.fpControl] = 0x27f
    bench[0] = 0x50000
    // fxsave64 [rax]; fninit; fxrstor64 [rax]
    bench.run([0x48, 0x0f, 0xae, 0x00, 0xdb, 0xe3, 0x48, 0x0f, 0xae, 0x08])
    #expect(bench.ram.load(0x50018, as: UInt64.self) == 0xffff_0000_1fa0)
    #expect(bench.ram.load(0x500a0, as: UInt64.self) == 1)
    #expect(bench.ram.load(0x500b0, as: UInt64.self) == 5)
    for word in 0..<64 { bench.x[Registers.vector + word] = 0 }
    bench.go()
    #expect(bench.x[Registers.fpControl] == 0x37f)
    bench.go()
    #expect(bench.x[Registers.vector + 61] == 62)
    #expect(bench.x[Registers.fpControl] == 0x27f)
    // A reserved bit of MXCSR, and an address that is not aligned.
    bench.ram.store(0x5001a, UInt16(1))
    bench.x[Slot.pc] = SystemBench.kernelCode + 6
    bench.go()
    #expect(bench.isAt(13))
    let other = try #require(SystemBench())
    other[0] = 0x50008
    other.run([0x0f, 0xae, 0x00])
    #expect(other.isAt(13))
  }

  @Test func whatIsNotThereIsNotEnabled() throws {
    for (features, value, allowed) in [
      (FeatureSet.announced, 7, true), (.announced, 5, false), (.announced, 2, false),
      (.announced, 15, false), (FeatureSet(CPUID.present.subtracting([.avx])), 7, false),
    ] as [(FeatureSet, UInt64, Bool)] {
      let bench = try #require(SystemBench(features: features))
      #expect(bench.isa.writeCR4(bench.x[SystemSlot.cr4] | CR4.osXSAVE, bench.hart))
      bench[0] = value
      bench.run([0x0f, 0x01, 0xd1])
      #expect(bench.isAt(13) == !allowed)
      #expect(bench.x[SystemSlot.xcr0] == (allowed ? value : 1))
    }
  }

  /// What a signal frame says of the summary is not believed, nor are reserved bits.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'x87 FPU Status Register'.
  @Test func theKernelsLoadedStateIsSound() throws {
    let bench = try #require(SystemBench())
    let isa = X86KernelISA()
    var state = isa.saveFP(bench.hart)
    for (control, status, waits) in [(0x37f, 0x8081, false), (0xe000, 0x3801, true)]
      as [(UInt64, UInt64, Bool)]
    {
      state.store64(0, control | status << 16)
      state.store64(Int(StateImage.legacySize), StateImage.x87)
      isa.restoreFP(state, bench.hart)
      #expect(bench.x[Registers.fpControl] == control & 0x1f3f | 0x40)
      #expect((bench.x[Registers.fpStatus] & StatusWord.summary != 0) == waits)
      #expect(bench.x[Registers.fpStatus] & 0x7f7f == status & 0x7f7f)
    }
  }

  @Test func theMonitorIsCalledFromTheKernelOnly() throws {
    final class Environment: HartEnvironment {
      var calls = 0
      func call(from hart: Hart) { calls += 1 }
    }
    let environment = Environment()
    let bench = try #require(SystemBench())
    bench.hart.environment = environment
    bench.run([0x0f, 0x01, 0xc1])
    #expect(environment.calls == 1)
    bench.enterUser()
    bench.run([0x0f, 0x01, 0xc1])
    #expect(bench.isAt(6))
    #expect(environment.calls == 1)
  }
}
