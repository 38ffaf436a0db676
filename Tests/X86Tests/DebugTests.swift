import Testing

@testable import Engine
@testable import X86

/// The debug architecture in system mode, by the manual.
@Suite struct DebugTests {
  private let data: UInt64 = 0x50000

  /// A breakpoint of DR `number`; `length` as DR7 has it.
  private func arm(
    _ bench: SystemBench, _ va: UInt64, kind: UInt64, length: UInt64 = 0, number: Int = 0
  ) {
    bench.isa.writeDebug(SystemSlot.debug + number, va, bench.hart)
    let bits = 1 << UInt64(2 * number) | (kind | length << 2) << UInt64(16 + 4 * number)
    bench.isa.writeDebug(
      SystemSlot.debugControl, bench.x[SystemSlot.debugControl] | bits, bench.hart)
  }

  private func causes(_ bench: SystemBench) -> UInt64 { bench.x[SystemSlot.debugStatus] & 0xe00f }

  /// - SeeAlso: Intel SDM volume 3, 'Data Breakpoint Exception Condition'.
  @Test func aStoreTrapsBehindItAndCausesAccumulate() throws {
    let bench = try #require(SystemBench())
    arm(bench, data, kind: 1, length: 1)
    arm(bench, data, kind: 3, length: 3, number: 1)
    bench[0] = data
    // mov ecx, [rax]; mov [rax+1], cl
    bench.run([0x8b, 0x08, 0x88, 0x48, 0x01])
    #expect(bench.isAt(1))
    #expect(bench.words(3) == [SystemBench.kernelCode + 2, 0x10, 2])
    #expect(causes(bench) == 2)
    bench.x[Slot.pc] = SystemBench.kernelCode + 2
    bench.go()
    #expect(bench.isAt(1))
    // Nothing was cleared.
    #expect(causes(bench) == 3)
    #expect(bench.hart.count == 2)
    #expect(bench.x[Slot.exceptions] == 0)
  }

  /// - SeeAlso: Intel SDM volume 3, 'Instruction-Breakpoint Exception Condition'.
  @Test func anExecutionBreakpointIsAFaultThatRFPasses() throws {
    let bench = try #require(SystemBench())
    let code: [UInt8] = [0x90, 0xff, 0xc1, 0x90]
    arm(bench, SystemBench.kernelCode + 1, kind: 0)
    bench.run(code, 2)
    #expect(bench.isAt(1))
    #expect(bench.words(3) == [SystemBench.kernelCode + 1, 0x10, 2])
    #expect(causes(bench) == 1)
    let before = bench[1]
    // IRETQ with RF: the instruction runs, and RF is gone behind it.
    bench.ram.store(bench[4] + 16, UInt64(0x10002))
    bench.run([0x48, 0xcf], 3)
    #expect(bench.hart.pc == SystemBench.kernelCode + 4)
    #expect(bench[1] == (before + 1) & 0xffff_ffff)
    #expect(RFlags.read(bench.x) & RFlags.resume == 0)
    // It comes before the fault of a page that is not there.
    let missing = try #require(SystemBench())
    missing.map(data, 0, present: false)
    arm(missing, data, kind: 0)
    missing.x[Slot.pc] = data
    missing.go()
    #expect(missing.isAt(1))
  }

  /// - SeeAlso: Intel SDM volume 3, 'General-Detect Exception Condition'.
  @Test func debugRegistersAreGuarded() throws {
    let bench = try #require(SystemBench())
    bench.x[SystemSlot.debugControl] |= DebugControl.generalDetect
    // mov rax, dr0
    bench.run([0x0f, 0x21, 0xc0])
    #expect(bench.isAt(1))
    #expect(bench.words(3) == [SystemBench.kernelCode, 0x10, 0x10002])
    #expect(causes(bench) == DebugStatus.guarded)
    #expect(bench.x[SystemSlot.debugControl] == DebugControl.fixed)
    // Upper halves; other names of DR6 and DR7; CR4.DE takes them away.
    let other = try #require(SystemBench())
    other[0] = 1 << 32
    other.run([0x0f, 0x23, 0xf8])
    #expect(other.isAt(13))
    let alias = try #require(SystemBench())
    alias[0] = 0x23ff
    // mov dr5, rax; mov rbx, dr7; mov rcx, dr4
    alias.run([0x0f, 0x23, 0xe8, 0x0f, 0x21, 0xfb, 0x0f, 0x21, 0xe1], 1)
    #expect(alias.isa.writeCR4(alias.x[SystemSlot.cr4] | CR4.debugging, alias.hart))
    alias.x[SystemSlot.debugControl] &= ~DebugControl.generalDetect
    alias.go()
    #expect(alias[3] == 0x7ff)
    alias.go()
    #expect(alias.isAt(6))
  }

  /// - SeeAlso: Intel SDM volume 3, 'I/O Breakpoint Exception Conditions'.
  @Test func portsHaveBreakpoints() throws {
    for extensions in [false, true] {
      let bench = try #require(SystemBench())
      if extensions {
        #expect(bench.isa.writeCR4(bench.x[SystemSlot.cr4] | CR4.debugging, bench.hart))
      }
      arm(bench, 0x80, kind: 2, length: 1)
      // out 0x81, al; rep outsb
      bench.run([0xe6, 0x81, 0xf3, 0x6e])
      #expect(bench.isAt(1) == extensions)
      guard extensions else { continue }
      #expect(bench.words(1) == [SystemBench.kernelCode + 2])
      bench.x[Slot.pc] = SystemBench.kernelCode + 2
      bench[2] = 0x80
      bench[1] = 3
      bench[6] = data
      bench.go()
      #expect(bench.isAt(1))
      // In the middle of a repeated instruction RF is set.
      #expect(bench.words(3) == [SystemBench.kernelCode + 2, 0x10, 0x10002])
      #expect(bench[1] == 2)
    }
  }

  /// - SeeAlso: Intel SDM volume 3, 'Single-Stepping on Branches'.
  @Test func stepsFromBranchToBranch() throws {
    let bench = try #require(SystemBench())
    #expect(bench.isa.writeModelRegister(0x1d9, 2, bench.hart))
    #expect(!bench.isa.writeModelRegister(0x1d9, 1, bench.hart))
    RFlags.write(bench.x, 0x102)
    X64.modeChanged(bench.hart)
    // nop; jc +1 (not taken); jmp +1; nop; nop
    bench.run([0x90, 0x72, 0x01, 0xeb, 0x01, 0x90, 0x90], 2)
    #expect(bench.hart.pc == SystemBench.kernelCode + 3)
    bench.go()
    #expect(bench.isAt(1))
    #expect(bench.words(1) == [SystemBench.kernelCode + 6])
    #expect(causes(bench) == DebugStatus.step)
    #expect(bench.isa.readModelRegister(0x1d9, bench.hart) == 0)
  }

  /// What CVE-2018-8897 is about: the breakpoint of the stack segment's load waits for the next
  /// instruction, and then is the handler's.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Masking Exceptions and Interrupts When Switching Stacks'.
  @Test func breakpointsOfALoadOfSSWait() throws {
    func user(_ behind: [UInt8]) throws -> SystemBench {
      let bench = try #require(SystemBench())
      bench.gate(3, type: 0xee)
      bench.x[SystemSlot.star] = 0x23 << 48 | 0x10 << 32
      bench.x[SystemSlot.lstar] = SystemBench.handlers
      bench.x[SystemSlot.flagMask] = 0x257fd5
      bench.ram.store(SystemBench.userData, SystemBench.userSS)
      arm(bench, SystemBench.userData, kind: 3, length: 1)
      bench.enterUser()
      bench[0] = SystemBench.userData
      bench.run([0x8e, 0x10] + behind)
      #expect(bench.hart.pc == SystemBench.userCode + 2)
      bench.go()
      return bench
    }
    let plain = try user([0x90, 0x90])
    #expect(plain.isAt(1))
    #expect(plain.words(1) == [SystemBench.userCode + 3])
    let int3 = try user([0xcc])
    #expect(int3.isAt(1))
    #expect(int3.words(2) == [SystemBench.handler(3), SystemBench.kernelCS])
    let call = try user([0x0f, 0x05])
    #expect(call.isAt(1))
    #expect(call.words(2) == [SystemBench.handlers, 0x10])
    for bench in [plain, int3, call] { #expect(causes(bench) == 1) }
    // Lost with INT1 and with a fault.
    let int1 = try user([0xf1])
    #expect(int1.isAt(1) && causes(int1) == 0)
    let fault = try user([0x0f, 0x0b])
    #expect(fault.isAt(6) && causes(fault) == 0)
    fault[0] = data
    fault.go()
    #expect(!fault.isAt(1))
  }

  @Test func aStepOfSYSRETEndsAtOnceAndINTOIsUndefined() throws {
    let bench = try #require(SystemBench())
    bench.x[SystemSlot.star] = 0x23 << 48 | 0x10 << 32
    bench[1] = SystemBench.userCode
    bench[11] = 0x302
    bench.run([0x48, 0x0f, 0x07])
    bench.go()
    #expect(bench.words(2) == [SystemBench.userCode, 0x33])
    #expect(causes(bench) == DebugStatus.step)
    let into = try #require(SystemBench())
    into.run([0xce])
    #expect(into.isAt(6))
  }

  /// A breakpoint ends a step too, and the step of HLT ends the wait.
  @Test func stepsAndBreakpointsComeTogether() throws {
    let bench = try #require(SystemBench())
    arm(bench, data, kind: 3)
    bench[0] = data
    RFlags.write(bench.x, 0x102)
    X64.modeChanged(bench.hart)
    bench.run([0x8b, 0x08])
    #expect(bench.isAt(1))
    #expect(causes(bench) == DebugStatus.step | 1)
    let halted = try #require(SystemBench())
    RFlags.write(halted.x, 0x102)
    X64.modeChanged(halted.hart)
    halted.run([0xf4])
    #expect(halted.isAt(1))
    #expect(halted.words(1) == [SystemBench.kernelCode + 1])
  }

  /// A string instruction that overwrites itself goes on as what it has become.
  @Test(arguments: [BackEnd.interpreter, .jit])
  func aRepeatedStoreOverItsOwnBytes(engine: BackEnd) throws {
    let bench = try #require(SystemBench(engine: engine))
    bench[7] = SystemBench.kernelCode - 2
    bench[1] = 8
    bench[0] = 0x90
    // rep stosb: NOP over its prefix; nop; stosb; nop
    bench.run([0xf3, 0xaa, 0x90, 0xf4, 0xf4, 0xf4, 0xf4], 3)
    #expect(bench[1] == 5)
    #expect(bench[7] == SystemBench.kernelCode + 2)
    #expect(bench.hart.pc == SystemBench.kernelCode + 3)
  }
}
