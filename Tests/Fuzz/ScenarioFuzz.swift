import Assembly
import Harness

extension Fuzzer {
  /// Scenario files, made of known keys and of changed text, through everything that reads them;
  /// what can be run runs for a while.
  func scenario(_ random: inout FuzzRandom) throws(FuzzFailure) -> UInt64 {
    var text = random.once(in: 2) ? Self.example : Self.mapping(.scenario, 0, &random)
    if random.once(in: 2) { text = Self.changed(text, &random) }
    do throws(ScenarioError) {
      let file = try ScenarioFile(Array(text.utf8), path: "fuzz.yaml")
      for (index, scenario) in file.scenarios.prefix(4).enumerated() {
        try run(scenario, file, index)
      }
    } catch {
      try Self.check("\(error)")
    }
    // The text alone, as a file's keys keep most changes from it.
    for guest in Guest.all {
      do throws(AssemblyError) {
        _ = try guest.assemble(Self.changed(Self.assembly(guest), &random)).elf
      } catch {
        try Self.check("\(error)")
      }
    }
    return 1
  }

  private func run(
    _ scenario: Scenario, _ file: ScenarioFile, _ index: Int
  ) throws(ScenarioError) {
    // Nothing of the host is read here.
    if case .file = scenario.subject { return }
    var scenario = scenario
    scenario.limit = min(scenario.limit, 20_000)
    scenario.machine.memory = min(scenario.machine.memory, 32 << 20)
    do throws(HarnessError) {
      _ = ScenarioRunner(try PreparedScenario(scenario)).run(seed: 1)
    } catch {
      throw file.error(error, of: index)
    }
  }

  private static func check(_ message: String) throws(FuzzFailure) {
    if message.contains("\n") || message.isEmpty {
      throw FuzzFailure(description: "an error of several lines: \(message)")
    }
  }

  private static func assembly(_ guest: Guest) -> String {
    switch guest {
    case .riscv64: assembly
    case .x86_64: intel
    }
  }

  private static let intel = """
    _start: mov eax, 0x12345678; lock add dword ptr fs:[rax + rcx*8 - 16], 5
    1: lea rsi, [rip + text]; mov rax, text[rip + 4]; jz 1b; jecxz 1b; call add
    rep movsb; vaddps ymm0, ymm1, ymmword ptr [r8]; vpgatherdd xmm0, [rax + xmm1*4], xmm2
    fadd st, st(1); movabs al, [0x1122334455667788]; enter 16, 1; shl byte ptr [ebx], cl
    .align 16
    add: mov r8, cr0; in eax, dx; mov ds, eax; paddb mm0, mm1; push 5; ret 8
    .data
    text: .asciz "ab\\n"; .quad text - 1; .word 7
    .equ n, 4; .zero n
    """

  private static let assembly = """
    _start: li a0, 0x12345678
    1: la a1, text; lw a2, 4(a1); beqz a2, 1b
    call add; c.addi a0, 1; csrr t0, cycle; amoadd.w.aq a0, a1, (a2)
    .balign 8
    add: fadd.d fa0, fa1, fa2, rtz; ret
    .data
    text: .asciz "ab\\n"; .word text - 1, ~3 * (2 + 1), %lo(text)
    .equ n, 4; .zero n
    """

  private static let example = """
    machine: {memory: 8M, caches: architectural}
    files: {/a: b}
    asm: |
      _start: li a0, 3
              call add
              li a7, 93
              ecall
      add:    addi a0, a0, 2
              ret
    probes:
      - p:add /asm:add n=%a0
      - {define: "r:done /asm:add", action: {set: {a0: 7}}}
      - {define: "p:x vfs_read+1", refused: EILSEQ}
    stops: [{at: add, registers: {a0: 3}, memory: [{at: add, u16: 1}]}]
    expect:
      exit: 7
      output: {contains: [], lacks: x}
      hits: {add: 1, done: {at-least: 1}}
      events: [{event: add, args: {n: "0x3"}}, done]
      counters: {syscalls: 1}

    """

  /// A mapping of some of its keys, with values that may be theirs.
  private static func mapping(
    _ keys: ScenarioKeys, _ depth: Int, _ random: inout FuzzRandom
  ) -> String {
    let chosen = keys.keys.filter { _ in random.once(in: 3) }
    return "{"
      + chosen.map { "\($0.name): \(value(depth + 1, &random))" }.joined(separator: ", ") + "}"
  }

  private static func value(_ depth: Int, _ random: inout FuzzRandom) -> String {
    switch random.below(depth > 4 ? 3 : 6) {
    case 0:
      return random.pick([
        "1", "-1", "0x10", "5M", "none", "every-insn", "linux", "bare", "SIGSEGV", "limit",
        "'_start: li a7, 93; ecall'", "_start: nop", "\"\"", "~", "add", "p:x vfs_read", "true",
        "x86_64", "{x86_64: '_start: syscall'}",
      ])
    case 1: return "\(random.edge())"
    case 2: return random.pick(["[]", "{}", "''", "a0", "/x", "EINVAL"])
    case 3: return "[" + value(depth + 1, &random) + ", " + value(depth + 1, &random) + "]"
    default: return mapping(random.pick(ScenarioKeys.all), depth, &random)
    }
  }

  /// The text with some bytes lost, doubled or replaced.
  private static func changed(_ text: String, _ random: inout FuzzRandom) -> String {
    var bytes = Array(text.utf8)
    let signs = Array("{}[]:,-&*!|>'\"%#@`\n\t 0x;()+~".utf8)
    for _ in 0...random.below(8) where !bytes.isEmpty {
      let at = random.below(bytes.count)
      let count = min(random.below(12), bytes.count - at)
      switch random.below(4) {
      case 0: bytes.removeSubrange(at..<(at + count))
      case 1: bytes.insert(contentsOf: bytes[at..<(at + count)], at: random.below(bytes.count))
      case 2: bytes[at] = random.pick(signs)
      default: bytes.insert(contentsOf: random.bytes(1), at: at)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
