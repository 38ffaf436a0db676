import ArgumentParser
import CHostX86
import Foundation
import X86

/// `emu-conformance x86`.
struct X86Command: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "x86",
    abstract: "Runs random x86-64 instructions here and on this host's processor.",
    discussion: """
      Instances are made from the encoding rows with random registers, flags and memory; the host \
      executes them one by one in a child process. All registers, flags, memory and exceptions are \
      compared.

      Examples:
        emu-conformance x86
        emu-conformance x86 --seed 7 --instances 10000000
        emu-conformance x86 --seed 7 --batch 12 --instance 34
        emu-conformance x86 --only shld,shrd
        emu-conformance x86 --capstone
        emu-conformance x86 --coverage
        emu-conformance x86 --fuzz 60
      """)

  @Option(help: "What the instances grow from.")
  var seed: UInt64 = 1

  @Option(help: "How many.")
  var instances: UInt64 = 1_000_000

  @Option(help: "Run only this batch.")
  var batch: UInt64?

  @Option(help: "With --batch: only this instance of it.")
  var instance: Int?

  @Option(help: "Only rows of these mnemonics or features, separated by commas.")
  var only: String?

  @Option(help: "Stop after so many rows with a difference.")
  var differences: Int = 1

  @Option(help: "Write so many instances of every row as vectors, to standard output.")
  var vectors: Int?

  @Flag(help: "Compare lengths and mnemonics with libcapstone instead.")
  var capstone = false

  @Flag(help: "Print which cells of the opcode maps have rows.")
  var coverage = false

  @Option(help: "Run random bytes as programs for so many seconds, with nothing to compare.")
  var fuzz: Double?

  @Option(help: "Tell where this machine, which --fuzz named, differs between the engines.")
  var machine: UInt64?

  mutating func run() throws {
    if let machine { return try X86SystemFuzz(seed: seed, seconds: 0).one(machine) }
    if coverage { return X86Coverage().run() }
    if let fuzz {
      try X86Fuzz(seed: seed, seconds: fuzz / 2).run()
      return try X86SystemFuzz(seed: seed, seconds: fuzz / 2).run()
    }
    let names = only.map { Set($0.split(separator: ",").map(String.init)) }
    let rows = Encodings.allRows.indices.filter {
      let row = Encodings.allRows[$0]
      return names.map {
        $0.contains(row.mnemonic) || $0.contains(row.feature.rawValue) || $0.contains("\(row.op)")
      } ?? true
    }
    if capstone { return try X86Capstone(seed: seed, count: instances, rows: rows).run() }
    guard hostx86_start() == 0 else {
      throw ToolError(description: "this host can't run x86-64 instructions for us", status: 3)
    }
    defer { hostx86_stop() }
    let run = try X86Run(
      seed: seed, rows: rows.filter { X86Generator.isComparable(Encodings.allRows[$0]) },
      allowed: differences)
    if let vectors {
      try run.write(vectors)
    } else if let batch {
      try run.one(batch, instance)
    } else {
      try run.all(instances)
    }
  }
}

/// Batches, one made and judged while the host runs another.
final class X86Run {
  private let seed: UInt64
  private let rows: [Int]
  private let judge: X86Judge
  private let allowed: Int
  private var cases: [[X86Case]] = [[], []]
  private var differing: [Int: Int] = [:]
  private var seen: [Int]
  private var faults = 0
  private var foreign = 0

  init(seed: UInt64, rows: [Int], allowed: Int) throws {
    guard let judge = X86Judge() else { throw ToolError(description: "no memory", status: 2) }
    self.seed = seed
    self.rows = rows
    self.judge = judge
    self.allowed = allowed
    seen = Array(repeating: 0, count: Encodings.allRows.count)
  }

  private func data(_ which: Int) -> UnsafeMutableRawPointer {
    hostx86_data(hostx86_batch(Int32(which)))
  }

  private func make(_ number: UInt64, _ which: Int, _ count: Int) {
    guard let batch = hostx86_batch(Int32(which)) else { return }
    var rng = SplitMix(seed: seed &* 0x1_0000_0001 &+ number &* 0x9e37_79b9)
    X86Generator.fill(data(which), &rng)
    var generator = X86Generator(rng: rng, rows: rows, data: data(which))
    cases[which] = (0..<count).map { generator.make(X86Instance(batch, $0)) }
    batch.pointee.count = UInt32(count)
  }

  private func start(_ which: Int) throws {
    guard hostx86_begin(Int32(which)) == 0 else {
      throw ToolError(description: "the child is gone", status: 2)
    }
  }

  private func finish(_ number: UInt64, _ which: Int) throws {
    guard hostx86_wait() == 0 else {
      let done = Int(hostx86_batch(Int32(which)).pointee.done)
      throw ToolError(
        description: "the child died at batch \(number) instance \(done): "
          + describe(cases[which][done], X86Instance(hostx86_batch(Int32(which)), done)),
        status: 2)
    }
  }

  private func describe(_ one: X86Case, _ instance: X86Instance) -> String {
    let bytes = instance.code.map { String(format: "%02x", $0) }.joined(separator: " ")
    let row = Encodings.allRows[one.row]
    let text =
      one.insn.length == 0
      ? "(\(row.mnemonic) refused)"
      : Disassembler.text(one.insn, pc: instance.before.c.pointee.rip)
    return "[\(bytes)] \"\(text)\" row \(row.pattern) : \(row.operandText)"
  }

  private func tell(
    _ one: X86Case, _ instance: X86Instance, _ number: UInt64, _ index: Int
  ) -> String {
    let state = instance.before
    var words: [String] = []
    for register in 0..<16 {
      words.append(
        Registers.name(UInt8(register), size: 8, rex: true) + "=" + hex(state.gpr[register]))
    }
    words.append("rip=\(hex(state.c.pointee.rip))")
    words.append("rflags=\(hex(state.c.pointee.rflags))")
    words.append("fs=\(hex(state.c.pointee.fsbase)) gs=\(hex(state.c.pointee.gsbase))")
    words.append("mxcsr=\(hex(UInt64(state.c.pointee.mxcsr)))")
    if one.insn.length > 0, Encodings.allRows[one.row].usesStack {
      words.append("fcw=\(hex(UInt64(state.c.pointee.fcw)))")
      words.append("fsw=\(hex(UInt64(state.c.pointee.fsw)))")
      words.append("ftw=\(hex(UInt64(state.c.pointee.ftw)))")
      for index in 0..<8 {
        let (low, high) = (state.stack[index * 2], state.stack[index * 2 + 1])
        words.append("st\(index)=\(hex(high))_\(hex(low))")
      }
    }
    if one.insn.length > 0,
      Encodings.allRows[one.row].operandText.contains(where: { "VWUH".contains($0) })
    {
      for register in Set([one.insn.reg, one.insn.rm, one.insn.vvvv, 0]).sorted() {
        let at = state.vectors + Int(register) * 4
        words.append("ymm\(register)=\(hex(at[3]))_\(hex(at[2]))_\(hex(at[1]))_\(hex(at[0]))")
      }
    }
    return "--seed \(seed) --batch \(number) --instance \(index) \(describe(one, instance)) "
      + words.joined(separator: " ")
  }

  private func judgeBatch(_ number: UInt64, _ which: Int, only: Int? = nil) throws {
    guard let batch = hostx86_batch(Int32(which)) else { return }
    judge.begin(data(which))
    for (index, one) in cases[which].enumerated() where only == nil || only == index {
      let instance = X86Instance(batch, index)
      seen[one.row] += 1
      if instance.c.pointee.vector != 1 { faults += 1 }
      let wrong = judge.compare(one, instance, data(which))
      if judge.isForeign {
        foreign += 1
        seen[one.row] -= 1
      }
      guard let wrong else { continue }
      differing[one.row, default: 0] += 1
      if differing[one.row] == 1 {
        print("difference: \(tell(one, instance, number, index))\n  \(wrong)")
      }
      if differing.count >= allowed { throw ExitCode(1) }
    }
  }

  /// Writes vectors, all of them ones that we agree with.
  func write(_ perRow: Int) throws {
    guard let batch = hostx86_batch(0) else { return }
    hostx86_fill(data(0))
    var rest = rows
    var number: UInt64 = 0
    while !rest.isEmpty {
      let some = Array(rest.prefix(Int(HOSTX86_BATCH) / perRow))
      rest.removeFirst(some.count)
      cases[0] = []
      for row in some {
        var generator = X86Generator(
          rng: SplitMix(seed: seed &+ UInt64(row) &* 977), rows: [row], data: data(0))
        generator.quiet = true
        for _ in 0..<perRow {
          cases[0].append(generator.make(X86Instance(batch, cases[0].count)))
        }
      }
      batch.pointee.count = UInt32(cases[0].count)
      try start(0)
      try finish(number, 0)
      try judgeBatch(number, 0)
      for (index, one) in cases[0].enumerated() where one.insn.length > 0 {
        print(X86VectorLine.text(one, X86Instance(batch, index), data(0)))
      }
      number += 1
    }
  }

  func one(_ number: UInt64, _ instance: Int?) throws {
    make(number, 0, Int(HOSTX86_BATCH))
    try start(0)
    try finish(number, 0)
    try judgeBatch(number, 0, only: instance)
    print("no difference")
  }

  func all(_ instances: UInt64) throws {
    let began = Date()
    let batches = max(1, instances / UInt64(HOSTX86_BATCH))
    make(0, 0, Int(HOSTX86_BATCH))
    try start(0)
    for number in 0..<batches {
      let which = Int(number & 1)
      if number + 1 < batches { make(number + 1, 1 - which, Int(HOSTX86_BATCH)) }
      try finish(number, which)
      if number + 1 < batches { try start(1 - which) }
      try judgeBatch(number, which)
    }
    if !differing.isEmpty { throw ExitCode(1) }
    let total = seen.reduce(0, +)
    let missing = rows.filter { seen[$0] == 0 }.map { Encodings.allRows[$0].pattern }
    let least = rows.map { seen[$0] }.min() ?? 0
    print(
      """
      \(total) instances of \(rows.count) rows (each at least \(least) times; \
      \(faults) raised an exception; \(foreign) more reached memory of the host's own)\(missing.isEmpty ? "" : "; never: \(missing)")
      no difference; seed \(seed), \(String(format: "%.1f", Date().timeIntervalSince(began))) s
      """)
  }
}
