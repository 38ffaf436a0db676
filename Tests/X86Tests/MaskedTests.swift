import Testing

@testable import Engine
@testable import X86

/// Alignment checks, interrupts that can't be masked, random numbers.
@Suite struct MaskedTests {
  /// - SeeAlso: Intel SDM volume 3, 'Alignment Check Exception (#AC)'.
  @Test(
    arguments: [
      // The address's low bits, code, whether it faults.
      (1, [0x8b, 0x08], true), (2, [0x8b, 0x08], true), (4, [0x8b, 0x08], false),
      (4, [0x48, 0x8b, 0x08], true), (1, [0x8a, 0x08], false), (1, [0x66, 0x89, 0x08], true),
      (0xffc, [0x48, 0x89, 0x08], true), (0xffe, [0x66, 0x89, 0x08], false),
      (0xffd, [0xff, 0x00], true), (8, [0x0f, 0x10, 0x00], false), (4, [0x0f, 0x10, 0x00], true),
    ] as [(UInt64, [UInt8], Bool)])
  func alignmentIsChecked(low: UInt64, code: [UInt8], faults: Bool) throws {
    for (mask, flags, isUser) in [
      (true, UInt64(0x40202), true), (false, 0x40202, true), (true, 0x202, true),
      (true, 0x40202, false),
    ] {
      let bench = try #require(SystemBench())
      if mask {
        #expect(bench.isa.writeCR0(bench.x[SystemSlot.cr0] | CR0.alignment, bench.hart))
      }
      if isUser { bench.enterUser(flags: flags) } else { RFlags.write(bench.x, flags) }
      X64.modeChanged(bench.hart)
      bench[0] = SystemBench.userData + low
      bench.run(code)
      #expect(bench.isAt(17) == (faults && mask && isUser && flags & 0x40000 != 0))
      if bench.isAt(17) { #expect(bench.words(2) == [0, SystemBench.userCode]) }
    }
  }

  /// - SeeAlso: Intel SDM volume 3, 'Handling Multiple NMIs'.
  @Test func oneNMIAtATime() throws {
    let bench = try #require(SystemBench())
    bench.isa.interruptNonMaskably(bench.hart)
    bench.ram.write(SystemBench.handler(2), [0x90, 0x48, 0xcf])
    bench.run([0x90, 0xf4])
    // Interrupts are off, and it came.
    #expect(bench.hart.pc == SystemBench.handler(2) + 1)
    #expect(bench.words(1) == [SystemBench.kernelCode])
    bench.isa.interruptNonMaskably(bench.hart)
    // IRETQ lets the other in.
    bench.go(2)
    #expect(bench.hart.pc == SystemBench.handler(2) + 1)
    // It ends HLT too.
    #expect(bench.go(20) == .waiting)
    #expect(bench.hart.pc == SystemBench.kernelCode + 2)
    bench.isa.interruptNonMaskably(bench.hart)
    bench.go()
    #expect(bench.hart.pc == SystemBench.handler(2) + 1)
  }

  /// - SeeAlso: Intel SDM volume 2, 'RDRAND - Read Random Number'.
  @Test func randomNumbersComeFromOutside() throws {
    let bench = try #require(SystemBench())
    bench[0] = .max
    // rdrand eax; rdseed rbx; rdrand cx
    let code: [UInt8] = [0x0f, 0xc7, 0xf0, 0x48, 0x0f, 0xc7, 0xfb, 0x66, 0x0f, 0xc7, 0xf1]
    bench.run(code)
    #expect(bench[0] == 0)
    #expect(RFlags.read(bench.x) & 1 == 0)
    var asked: [Int] = []
    bench.isa.random = { count in
      asked.append(count)
      return (0..<count).map { UInt8($0 + 1) }
    }
    bench[1] = .max
    bench.go(2)
    #expect(asked == [8, 2])
    #expect(bench[3] == 0x0807_0605_0403_0201)
    #expect(bench[1] == 0xffff_ffff_ffff_0201)
    #expect(RFlags.read(bench.x) & StatusFlags.all == 1)
    #expect(CPUID.leaf(1, 0).2 >> 30 & 1 == 1 && CPUID.leaf(7, 0).1 >> 18 & 1 == 1)
  }
}
