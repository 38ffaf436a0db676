import Harness
import HarnessTesting
import Image
import Machine
import Probes
import Testing

/// The harness as another package's tests use it.
struct RigTests {
  private static let sum = """
    _start: li   s0, 10
            li   a0, 0
    loop:   mv   a1, s0
            call add
            addi s0, s0, -1
            bnez s0, loop
            li   a7, 93
            ecall
    add:    add  a0, a0, a1
            ret
            .data
    cell:   .dword 0x1122334455667788
    """

  @Test(arguments: Guest.all, Seeds(0..<20))
  func closures(guest: Guest, seed: Seed) throws {
    var scenario = try #require(Scenario("sum", assembly: Self.sums, on: guest))
    scenario.expect.exit = .status(55)
    var seen: [UInt64] = []
    var returned: UInt64 = 0
    scenario.check(seed: seed) { rig in
      try rig.uprobe("/asm:add") { hit in
        seen.append(hit.argument(2) ?? 0)
        return .continue
      }
      try rig.uretprobe("/asm:add") { returned = $0.returnValue }
    }
    #expect(seen == (1...10).reversed())
    #expect(returned == 55)
  }

  /// Scenarios run thousands of times in one process.
  @Test(arguments: Guest.all)
  func nothingOutlivesIt(guest: Guest) throws {
    weak var machine: ProgramMachine?
    do {
      let scenario = try #require(Scenario("sum", assembly: Self.sums, on: guest))
      let rig = try Rig(scenario)
      machine = rig.linux
      try rig.kprobe("__do_sys_exit") { _ in .continue }
      try rig.uretprobe("/asm:add") { _ in }
      #expect(rig.run().ending == .status(55) && machine != nil)
    }
    #expect(machine == nil)
  }

  @Test func kernelClosures() throws {
    let rig = try Rig(Scenario(assembly: "_start: li a7, 172\necall\nli a7, 93\necall"))
    try rig.kprobe("__do_sys_getpid") { _ in .continue }
    try rig.kretprobe("__do_sys_getpid") { $0.returnValue = 77 }
    #expect(throws: HarnessError.self) { try rig.kprobe("/asm:_start") { _ in .continue } }
    #expect(throws: HarnessError.self) { try rig.uprobe("vfs_read") { _ in .continue } }
    #expect(throws: EventError.self) { try rig.kprobe("no_such_symbol") { _ in .continue } }
    #expect(rig.run().ending == .status(77))
  }

  /// To a count and on, with a look in between.
  @Test func inBetween() throws {
    let rig = try Rig(Scenario(assembly: Self.sum))
    let loop = try #require(rig.address(of: "loop"))
    var count: UInt64 = 0
    while rig.register("pc") != loop {
      count += 1
      try #require(count < 10_000)
      #expect(rig.run(until: count).ending == .limit)
    }
    #expect(rig.count == count)
    #expect(rig.register("s0") == 10)
    #expect(rig.register("x8") == 10)
    #expect(rig.register("nothing") == nil)
    #expect(rig.describe(loop + 4) == "0x\(String(loop + 4, radix: 16)) (loop+0x4)")
    // Nobody has read it, so it is not in memory.
    #expect(rig.memory(try #require(rig.address(of: "cell")), 8) == nil)
    #expect(rig.memory(loop, 2) == [0xa2, 0x85])
    #expect(rig.run().ending == .status(55))
  }

  @Test func whatCantBeRun() {
    let error = #expect(throws: HarnessError.self) {
      try Rig(Scenario(assembly: "_start: frob"))
    }
    #expect(error?.description == "asm:1:9: unknown instruction 'frob'")
    #expect(throws: HarnessError.self) { try Rig(Scenario("x", .file("/no/such/file"))) }
    #expect(throws: HarnessError.self) { try Rig(Scenario("x", .bytes([1, 2, 3], name: "x"))) }
    var scenario = Scenario(assembly: "_start: nop")
    scenario.probes = ["p:x no_such_symbol"]
    #expect(throws: HarnessError.self) { try Rig(scenario) }
    scenario.probes = []
    scenario.stops = [Scenario.Stop("nowhere")]
    #expect(throws: HarnessError.self) { try Rig(scenario) }
    scenario.machine.board = .bare
    scenario.stops = []
    scenario.probes = ["p:x vfs_read"]
    #expect(throws: HarnessError.self) { try Rig(scenario) }
  }

  private static let sums: [Guest: String] = [
    .riscv64: sum,
    .x86_64: """
    _start: mov  ebx, 10
            xor  eax, eax
    loop:   mov  esi, ebx
            call add
            dec  ebx
            jnz  loop
            mov  edi, eax
            mov  eax, 60
            syscall
    add:    add  eax, esi
            ret
            .data
    cell:   .quad 0x1122334455667788
    """,
  ]

  /// The same scenario on every guest, with what is seen of its registers.
  @Test(arguments: Guest.all)
  func guests(guest: Guest) throws {
    var scenario = try #require(Scenario("sum", assembly: Self.sums, on: guest))
    scenario.expect.exit = .status(55)
    let (counter, sum) = guest == .riscv64 ? ("s0", "a0") : ("rbx", "rax")
    scenario.stops = [Scenario.Stop("loop", nth: 4, registers: [counter: 7, sum: 27])]
    for seed in Seeds(0..<3) { scenario.check(seed: seed) }
    scenario.check()
    let rig = try Rig(scenario)
    let loop = try #require(rig.address(of: "loop"))
    while rig.register("pc") != loop, rig.count < 10_000 { rig.run(until: rig.count + 1) }
    #expect(rig.register(counter) == 10)
    #expect(rig.register("nothing") == nil)
    let text = try guest.assemble(try #require(Self.sums[guest]))
    #expect(rig.memory(loop, 2) == Array(text.bytes()[Int(loop - 0x10000)...].prefix(2)))
  }

  /// A failure shows the last instructions of any guest.
  @Test func lastInstructions() throws {
    var scenario = try #require(Scenario("sum", assembly: Self.sums, on: .x86_64))
    scenario.expect.exit = .status(54)
    let result = try ScenarioRunner(scenario).run()
    #expect(result.failures == ["the end: expected exit status 54, seen exit status 55"])
    #expect(
      result.context.suffix(3).map { $0.split(separator: " ", maxSplits: 1).last ?? "" }
        == [
          "0x10012 (loop+0xb): mov edi, eax", "0x10014 (loop+0xd): mov eax, 0x3c",
          "0x10019 (loop+0x12): syscall",
        ].map { $0[...] }, "\(result.context)")
  }

  /// What is not there for a guest is said.
  @Test func notThere() throws {
    var scenario = try #require(Scenario("sum", assembly: Self.sums, on: .x86_64))
    scenario.machine.board = .bare
    let error = #expect(throws: HarnessError.self) { try Rig(scenario) }
    #expect(error?.description == "there is no bare board for x86_64")
    #expect(Scenario("sum", assembly: [:], on: .x86_64) == nil)
  }

  /// An issue says all that there is to know, and how to see it again.
  @Test func issues() {
    withKnownIssue {
      var scenario = Scenario("wrong", assembly: Self.sum)
      scenario.expect.exit = .status(56)
      scenario.check(seed: Seed(3))
    } matching: { issue in
      let text = "\(issue)"
      return text.contains("wrong: the end: expected exit status 56, seen exit status 55")
        && text.contains("(loop+0xe): ecall") && text.contains("EMU_SEED=3 swift test --filter")
        && text.contains("RigTests/issues")
    }
  }

  /// Every mistake has its name.
  @Test func legacyNames() {
    var all: LegacyPolicies = []
    for (name, policy) in LegacyPolicies.named {
      #expect(!all.contains(policy), "\(name)")
      all.insert(policy)
    }
    #expect(LegacyPolicies.named.count == all.rawValue.nonzeroBitCount)
    #expect(all.contains([.noFetchSynchronisation, .programTypeUnchecked, .tableDecidesAlone]))
  }

  /// What the assembler makes is an ELF file whose symbols are found again.
  @Test func elf() throws {
    let image = try Guest.riscv64.assemble(Self.sum)
    let elf = try ELFFile(image.elf)
    #expect(elf.entry == image.entry)
    for symbol in image.symbols {
      let found = try #require(elf.symbols.symbol(symbol.name))
      #expect(found.address == symbol.value)
      #expect(found.size == symbol.size)
    }
    #expect(elf.symbols.symbol(at: 0x1000a)?.symbol.name == "loop")
    #expect(elf.header.loadable.count == 2)
    #expect(elf.fileOffset(image.entry) != nil)
  }
}
