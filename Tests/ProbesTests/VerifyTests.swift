import Engine
import GuestKernel
import Machine
import Probes
import Testing

private let root = String(#filePath.dropLast("Tests/ProbesTests/VerifyTests.swift".count))
private let probesProgram = program(.riscv64)
private func program(_ guest: ProgramArchitecture) -> String {
  root + "Tests/ProbesTests/Programs/" + Rig.program(guest)
}

@Suite struct VerifyTests {
  private func verify(
    _ command: [String], _ probed: Verification.Probed = .everyInsn, kernel: Bool = false,
    legacy: LegacyPolicies = [], caches: CacheModel = .coherent
  ) throws -> Verification.Report {
    var options = Verification.Options()
    options.run.memory = 64 << 20
    options.run.cacheModel = caches
    options.probed = probed
    options.kernel = kernel
    options.legacy = legacy
    return try Verification(command, options, output: { _, _ in }).run()
  }

  private func lines(_ report: Verification.Report) -> String {
    (report.difference ?? []).joined(separator: "\n")
  }

  @Test(
    "every instruction, every time: no difference",
    arguments: ["a", "f", "s", "l", "d"], [CacheModel.coherent, .architectural])
  func everyInsn(mode: String, caches: CacheModel) throws {
    for guest in ProgramArchitecture.allCases {
      let report = try verify([program(guest), mode], caches: caches)
      #expect(report.difference == nil, "\(lines(report))")
      #expect(report.exit == .ended(.exited(0)))
      #expect(report.insns > 50)
      #expect(report.coverage.outOfLine.hits > 30)
      #expect(report.coverage.simulated.hits > 5)
      #expect(report.coverage.simulated.mnemonics.count >= 4)
    }
  }

  /// Scenarios run thousands of times in one process.
  @Test("nothing of a verification outlives it")
  func lifetime() throws {
    weak var world: LiveChooser?
    for guest in ProgramArchitecture.allCases {
      var options = Verification.Options()
      options.run.memory = 64 << 20
      do {
        let chooser = LiveChooser(SilentHost())
        world = chooser
        let report = try Verification([program(guest), "a"], options, world: chooser).run()
        #expect(report.insns > 50 && world != nil)
      }
      #expect(world == nil, "\(guest)")
    }
  }

  @Test("x86-64: a program that single-steps itself sees its own steps and no other")
  func singleSteps() throws {
    let report = try verify([program(.x86_64), "t"])
    #expect(report.difference == nil, "\(lines(report))")
    #expect(report.exit == .ended(.exited(0)))
    #expect(report.coverage.outOfLine.mnemonics["rep"] != nil)
  }

  @Test("a program's own break: its siginfo says less where there are probes, as in Linux")
  func ownBreak() throws {
    let report = try verify([probesProgram, "b"])
    let wrong = (report.difference ?? []).filter { $0.hasPrefix("*") }
    // The handler reads si_addr.
    #expect(wrong.count == 1 && wrong.allSatisfy { $0.hasPrefix("* a3 ") }, "\(lines(report))")
  }

  @Test(
    "every instruction once: as many hits as instructions",
    arguments: ProgramArchitecture.allCases)
  func once(guest: ProgramArchitecture) throws {
    let report = try verify([program(guest), "a"], .once)
    #expect(report.difference == nil, "\(lines(report))")
    let sums = report.coverage
    #expect(sums.outOfLine.hits == UInt64(sums.outOfLine.insns))
    #expect(sums.simulated.hits == UInt64(sums.simulated.insns))
    #expect(sums.outOfLine.insns > 100)
  }

  @Test(
    "the kernel's text: no difference in what its instructions do",
    arguments: ProgramArchitecture.allCases)
  func kernelText(guest: ProgramArchitecture) throws {
    let report = try verify([program(guest), "f"], .none, kernel: true)
    #expect(report.difference == nil, "\(lines(report))")
    #expect(report.kernelInsns > 1000)
    #expect(report.coverage.outOfLine.hits > 200)
    #expect(report.coverage.simulated.hits > 100)
  }

  @Test("program and kernel together", arguments: ProgramArchitecture.allCases)
  func both(guest: ProgramArchitecture) throws {
    let report = try verify([program(guest), "f"], .everyInsn, kernel: true)
    #expect(report.difference == nil, "\(lines(report))")
    #expect(report.tasks == 2)
  }

  @Test("one place is hit as often as it is run", arguments: ProgramArchitecture.allCases)
  func onePlace(guest: ProgramArchitecture) throws {
    let path = program(guest)
    let report = try verify([path, "l"], .places(["\(path):tail3"]))
    #expect(report.difference == nil, "\(lines(report))")
    let sums = report.coverage
    #expect(sums.places == 1)
    #expect(sums.outOfLine.hits + sums.simulated.hits == 2000)
  }

  @Test("what depends on its own address may not run in a slot: the difference is found")
  func differenceIsFound() throws {
    let report = try verify([probesProgram, "a"], legacy: .everythingInSlot)
    let text = lines(report)
    #expect(report.difference != nil)
    #expect(text.contains("(simulated)"), "\(text)")
    #expect(text.contains("* "), "\(text)")
    #expect(text.contains("without probes"), "\(text)")
  }

  @Test("a signal that is seen in a slot is a difference", arguments: ProgramArchitecture.allCases)
  func visibleSlots(guest: ProgramArchitecture) throws {
    let report = try verify([program(guest), "s"], legacy: .slotsAreVisible)
    #expect(report.difference != nil)
  }

  @Test(
    "a place that takes no probe stops it before it begins",
    arguments: [
      ("no_such_symbol", "no_such_symbol"), ("handle_exception", "EINVAL"),
      ("/no/such/file:main", "file"),
    ])
  func refusedPlace(place: String, word: String) {
    #expect(throws: (any Error).self) { try verify([probesProgram, "a"], .places([place])) }
  }

  @Test("a program that can't be run")
  func noProgram() {
    #expect(throws: LaunchError.self) { try verify(["/no/such/program"]) }
    #expect(throws: LaunchError.self) { try verify([]) }
  }

  @Test(
    "faults, threads, signals and timers", arguments: [["s"], ["f"], ["t", "20"], ["m"], ["u"]])
  func selftestProgram(arguments: [String]) throws {
    for guest in ProgramArchitecture.allCases {
      let path = "\(root)images/user/\(guest)/selftest.elf"
      let report = try verify([path] + arguments)
      #expect(report.difference == nil, "\(lines(report))")
      #expect(report.exit == .ended(.exited(0)))
    }
  }
}
