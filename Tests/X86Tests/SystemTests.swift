import Testing

@testable import Engine
@testable import X86

/// What no vector from hardware can show: the host's kernel or processor has its own answers.
@Suite struct SystemTests {
  /// Puts code at the start of the code pages and executes `count` instructions.
  private func run(_ bench: Bench, _ bytes: [UInt8], count: UInt64 = 1) {
    bench.put(Bench.code, bytes)
    bench.hart.x[Slot.pc] = Bench.code
    _ = bench.hart.run(until: bench.hart.count + count)
  }

  @Test func icebpIsATrap() throws {
    let bench = try #require(Bench())
    run(bench, [0xf1])
    #expect(bench.isa.lastException == X64Exception(vector: 1, errorCode: 0, address: 0))
    #expect(bench.hart.pc == Bench.code + 1)
  }

  @Test func syscallWithoutAnEnvironmentIsUndefined() throws {
    let bench = try #require(Bench())
    run(bench, [0x0f, 0x05])
    #expect(bench.isa.lastException?.vector == 6)
    #expect(bench.hart.pc == Bench.code)
  }

  @Test func syscallSavesPcAndFlags() throws {
    final class Environment: HartEnvironment {
      var calls = 0
      func call(from hart: Hart) { calls += 1 }
    }
    let bench = try #require(Bench())
    let environment = Environment()
    bench.hart.environment = environment
    RFlags.write(bench.hart.x, 0x246)
    run(bench, [0x0f, 0x05])
    #expect(environment.calls == 1)
    #expect(bench.hart.x[Registers.slot(1)] == Bench.code + 2)
    #expect(bench.hart.x[Registers.slot(11)] == 0x246)
  }

  @Test func timeIsTheNumberOfInstructions() throws {
    let bench = try #require(Bench())
    run(bench, [0x90, 0x90, 0x0f, 0x31], count: 3)
    let x = bench.hart.x
    #expect(x[Registers.slot(0)] == 2)
    #expect(x[Registers.slot(2)] == 0)
    run(bench, [0x0f, 0x01, 0xf9])
    #expect(x[Registers.slot(0)] == 3)
    #expect(x[Registers.slot(1)] == 0)
  }

  @Test func extendedControlRegisterZeroOnly() throws {
    let bench = try #require(Bench())
    bench.hart.x[Registers.slot(1)] = 0
    run(bench, [0x0f, 0x01, 0xd0])
    #expect(bench.hart.x[Registers.slot(0)] == StateImage.all)
    bench.hart.x[Registers.slot(1)] = 1
    run(bench, [0x0f, 0x01, 0xd0])
    #expect(bench.isa.lastException?.vector == 13)
  }

  @Test func stateSavedIsStateRestored() throws {
    // xsave [rbx]; xrstor [rbx]: all that is in the image comes back, and no more.
    let bench = try #require(Bench())
    let x = bench.hart.x
    let slots =
      Array(Registers.mxcsr...Registers.fpOperand)
      + Array(Registers.vector..<(Registers.x87 + 16))
    let save: [[UInt8]] = [[0x48, 0x0f, 0xae, 0x23], [0x48, 0x0f, 0xae, 0x33]]
    for instruction in save {
      bench.reset()
      bench.ram.write(0x10000 + 0x400, [UInt8](repeating: 0, count: 832))
      x[Registers.slot(0)] = 7
      x[Registers.slot(2)] = 0
      x[Registers.slot(3)] = Bench.data + 0x400
      x[Registers.fpStatus] = 0x3800
      x[Registers.fpTag] = 0x3fff
      x[Registers.fpControl] = 0x27f
      x[Registers.mxcsr] = 0x1fa0
      for index in 0..<16 { x[Registers.x87 + index] = UInt64(index + 1) }
      let before = slots.map { x[$0] }
      run(bench, instruction)
      #expect(bench.isa.lastException == nil)
      for slot in slots { x[slot] = slot == Registers.mxcsr ? 0x1f80 : 0 }
      run(bench, [0x48, 0x0f, 0xae, 0x2b])
      #expect(bench.isa.lastException == nil)
      #expect(slots.map { x[$0] } == before)
    }
    // Without the component in the image it is as after initialisation.
    bench.ram.write(0x10000 + 0x400 + 512, [3])
    run(bench, [0x48, 0x0f, 0xae, 0x2b])
    #expect(x[Registers.vector + 2] == 0)
    #expect(x[Registers.vector] == Bench.filler(64))
    // An image must be aligned and its header sound.
    bench.ram.write(0x10000 + 0x400 + 512, [8])
    run(bench, [0x48, 0x0f, 0xae, 0x2b])
    #expect(bench.isa.lastException?.vector == 13)
  }

  /// - SeeAlso: Intel SDM volume 1, 'Operation of XSAVE' and 'Operation of XRSTOR'.
  @Test func componentsThatAreOffAreNeitherSavedNorRestored() throws {
    let bench = try #require(Bench())
    let x = bench.hart.x
    x[SystemSlot.xcr0] = StateImage.x87 | StateImage.sse
    bench.ram.write(0x10000 + 0x400, [UInt8](repeating: 0, count: 832))
    x[Registers.slot(0)] = 7
    x[Registers.slot(2)] = 0
    x[Registers.slot(3)] = Bench.data + 0x400
    run(bench, [0x48, 0x0f, 0xae, 0x23])
    #expect(bench.isa.lastException == nil)
    #expect(bench.ram.bytes(0x10000 + 0x400 + 512, 8) == [2, 0, 0, 0, 0, 0, 0, 0])
    #expect(bench.ram.bytes(0x10000 + 0x400 + 576, 16) == [UInt8](repeating: 0, count: 16))
    let upper = x[Registers.vector + 2]
    run(bench, [0x48, 0x0f, 0xae, 0x2b])
    #expect(bench.isa.lastException == nil)
    #expect(x[Registers.vector + 2] == upper)
    bench.ram.write(0x10000 + 0x400 + 512, [6])
    run(bench, [0x48, 0x0f, 0xae, 0x2b])
    #expect(bench.isa.lastException?.vector == 13)
  }

  /// - SeeAlso: Intel SDM volume 2, 'CPUID - CPU Identification', leaf 0DH.
  @Test func cpuidTellsTheSizeOfWhatIsEnabled() throws {
    let bench = try #require(Bench())
    let x = bench.hart.x
    for (enabled, size) in [(1, 576), (3, 576), (7, 832)] as [(UInt64, UInt64)] {
      x[SystemSlot.xcr0] = enabled
      x[Registers.slot(0)] = 0xd
      x[Registers.slot(1)] = 0
      run(bench, [0x0f, 0xa2])
      #expect((0..<4).map { x[Registers.slot($0)] } == [7, 832, 0, size])
    }
    // Without AVX there is one component less.
    #expect(CPUID.leaf(0xd, 0, FeatureSet([.base, .xsave])) == (3, 0, 576, 0))
    #expect(CPUID.leaf(0xd, 2, FeatureSet([.base, .xsave])) == (0, 0, 0, 0))
  }

  @Test func legacyImageHasItsPlaces() throws {
    // fxsave64 [rbx], and fxrstor64 [rbx] with a reserved bit of MXCSR.
    let bench = try #require(Bench())
    let x = bench.hart.x
    x[Registers.slot(3)] = Bench.data
    x[Registers.fpTag] = 0xfffc
    x[Registers.x87] = 0x1234
    run(bench, [0x48, 0x0f, 0xae, 0x03])
    #expect(bench.ram.bytes(0x10000, 8) == [0x7f, 3, 0, 0, 1, 0, 0, 0])
    #expect(bench.ram.bytes(0x10000 + 24, 8) == [0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0])
    #expect(bench.ram.bytes(0x10000 + 32, 2) == [0x34, 0x12])
    bench.ram.write(0x10000 + 26, [1])
    run(bench, [0x48, 0x0f, 0xae, 0x0b])
    #expect(bench.isa.lastException?.vector == 13)
  }

  /// As hardware does it: frstor [rbx], fnstenv [rbx] with their first word at the end of the lower half.
  @Test(arguments: [[0xdd, 0x23], [0xd9, 0x33]] as [[UInt8]])
  func anImageWhoseFirstWordLeavesTheCanonicalAddresses(code: [UInt8]) throws {
    let bench = try #require(Bench())
    for (address, vector) in [(0x7fff_ffff_ffff, 13), (0x7fff_ffff_fff0, 14)] as [(UInt64, UInt8)] {
      bench.hart.x[Registers.slot(3)] = address
      run(bench, code)
      #expect(bench.isa.lastException?.vector == vector)
    }
  }

  @Test func whatIsNotAnnouncedIsUndefined() throws {
    let plain = try #require(Bench(features: .withoutAVX))
    // vaddps ymm0, ymm1, ymm2
    run(plain, [0xc5, 0xf4, 0x58, 0xc2])
    #expect(plain.isa.lastException?.vector == 6)
    #expect(plain.hart.pc == Bench.code)
    plain.isa.forgetException()
    plain.hart.x[Registers.slot(0)] = 1
    run(plain, [0x0f, 0xa2])
    // AVX, OSXSAVE, XSAVE.
    #expect(plain.hart.x[Registers.slot(1)] & (7 << 26) == 0)
    let bench = try #require(Bench())
    run(bench, [0xc5, 0xf4, 0x58, 0xc2])
    #expect(bench.isa.lastException == nil)
    // Integers of 256 bits came with AVX2.
    let first = try #require(Bench(features: FeatureSet(CPUID.present.subtracting([.avx2]))))
    // vpaddb xmm0, xmm1, xmm2; vaddps ymm0, ymm1, ymm2; vptest ymm0, ymm2; vmovntdqa xmm0, [rbx]
    first.hart.x[Registers.slot(3)] = Bench.data
    for code in [
      [0xc5, 0xf1, 0xfc, 0xc2], [0xc5, 0xf4, 0x58, 0xc2], [0xc4, 0xe2, 0x7d, 0x17, 0xc2],
      [0xc4, 0xe2, 0x79, 0x2a, 0x03],
    ] as [[UInt8]] {
      run(first, code)
      #expect(first.isa.lastException == nil, "\(code)")
    }
    // The first of 256 bits; vpslldq ymm0, ymm2, 1; vpmovmskb eax, ymm2; vpmovsxbw ymm0, xmm2;
    // vmpsadbw ymm0, ymm1, ymm2, 0; vpblendvb ymm0, ymm1, ymm2, ymm3; vmovntdqa ymm0, [rbx]
    for code in [
      [0xc5, 0xf5, 0xfc, 0xc2], [0xc5, 0xfd, 0x73, 0xfa, 0x01], [0xc5, 0xfd, 0xd7, 0xc2],
      [0xc4, 0xe2, 0x7d, 0x20, 0xc2], [0xc4, 0xe3, 0x75, 0x42, 0xc2, 0x00],
      [0xc4, 0xe3, 0x75, 0x4c, 0xc2, 0x30], [0xc4, 0xe2, 0x7d, 0x2a, 0x03],
    ] as [[UInt8]] {
      first.isa.forgetException()
      run(first, code)
      #expect(first.isa.lastException?.vector == 6, "\(code)")
      bench.isa.forgetException()
      bench.hart.x[Registers.slot(3)] = Bench.data
      run(bench, code)
      #expect(bench.isa.lastException == nil, "\(code)")
    }
    // LZCNT is BSR where there is no LZCNT.
    let old = try #require(Bench(features: FeatureSet([.base])))
    old.hart.x[Registers.slot(1)] = 0x10
    run(old, [0xf3, 0x0f, 0xbd, 0xc1])
    #expect(old.hart.x[Registers.slot(0)] == 4)
  }

  @Test func processorNumber() throws {
    let bench = try #require(Bench())
    run(bench, [0xf3, 0x0f, 0xc7, 0xf8])
    #expect(bench.hart.x[Registers.slot(0)] == 0)
  }

  @Test func cpuidNamesWhatThereIs() throws {
    let bench = try #require(Bench())
    let x = bench.hart.x
    x[Registers.slot(0)] = 0
    run(bench, [0x0f, 0xa2])
    #expect(x[Registers.slot(0)] == 0xd)
    // CMPXCHG8B and CMOV, in EDX of leaf 1.
    #expect(CPUID.leaf(1, 0).3 & (1 << 8 | 1 << 15) == 1 << 8 | 1 << 15)
    #expect(CPUID.leaf(7, 1) == (0, 0, 0, 0))
  }

  @Test func aRepeatGoesOnInChunks() throws {
    let bench = try #require(Bench())
    let x = bench.hart.x
    x[Registers.slot(0)] = 0x41
    x[Registers.slot(1)] = 5000
    x[Registers.slot(7)] = Bench.data
    run(bench, [0xf3, 0xaa])
    #expect(x[Registers.slot(1)] == 5000 - 4096)
    #expect(bench.hart.pc == Bench.code)
    _ = bench.hart.run(until: bench.hart.count + 1)
    #expect(x[Registers.slot(1)] == 0)
    #expect(bench.hart.pc == Bench.code + 2)
    #expect(bench.ram.bytes(0x10000 + 4999, 1) == [0x41])
  }

  @Test func flagsCrossBlocks() throws {
    // cmp eax, ebx; jmp +0; setl cl: the condition is tested in another block than it was set in.
    let bench = try #require(Bench())
    bench.hart.x[Registers.slot(0)] = 0xffff_ffff
    bench.hart.x[Registers.slot(3)] = 1
    bench.hart.x[Registers.slot(1)] = 0
    run(bench, [0x39, 0xd8, 0xeb, 0x00, 0x0f, 0x9c, 0xc1], count: 3)
    #expect(bench.hart.x[Registers.slot(1)] == 1)
  }

  @Test func aFaultShowsTheFlagsOfBefore() throws {
    // add eax, ebx; mov ecx, [0]; xor edx, edx: the flags of ADD are dead but for the fault.
    let bench = try #require(Bench())
    bench.hart.x[Registers.slot(0)] = 0xffff_ffff
    bench.hart.x[Registers.slot(3)] = 1
    run(
      bench, [0x01, 0xd8, 0x8b, 0x0c, 0x25, 0, 0, 0, 0, 0x31, 0xd2], count: 3)
    #expect(bench.isa.lastException?.vector == 14)
    #expect(RFlags.read(bench.hart.x) & StatusFlags.all == 0x55)
  }

  @Test func anInstructionAcrossPagesIsDroppedWithItsLastByte() throws {
    // A store to the tenth byte behind the page's start changes an instruction that began before it.
    let bench = try #require(Bench())
    let start = Bench.code + 4096 - 2
    let bytes: [UInt8] = [0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8]
    bench.put(start, bytes)
    for last in [UInt8(8), 9] {
      bench.ram.write(0x1000 + 4096 + 7, [last])
      bench.hart.x[Slot.pc] = start
      _ = bench.hart.run(until: bench.hart.count + 1)
      #expect(bench.hart.x[Registers.slot(0)] >> 56 == UInt64(last))
    }
  }
}
