import ArgumentParser
import Foundation
import RISCV

/// `emu-conformance random`.
struct RandomCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "random",
    abstract: "Runs random programs made from the encoding rows here and under qemu-riscv64.",
    discussion: """
      Every program runs four times here: plainly; in slices of a few instructions and with pages \
      scattered by Sv39; observed; and with architectural caches. All of them must agree with QEMU \
      in every register and byte, and with each other in the number of instructions.

      Examples:
        emu-conformance random
        emu-conformance random --seed 7 --insns 5000000
        emu-conformance random --seed 7 --program 123
        emu-conformance random --seed 7 --program 123 --listing
      """)

  @Option(help: "What the random programs grow from.")
  var seed: UInt64 = 1

  @Option(help: "Run only this program, and say more about it.")
  var program: UInt64?

  @Option(help: "Stop after so many random instructions, executed once each way.")
  var insns: UInt64 = 1_000_000

  @Option(help: "Units (an instruction and what prepares it) in a program.")
  var units: Int = 1200

  @Option(
    help: "Compare the path and the count with QEMU's trace in every so-manieth program; 0: never.")
  var traceEvery: UInt64 = 16

  @Flag(help: "Print the program of --program instead of running it.")
  var listing = false

  @Option(help: "Write the program of --program to this ELF file as well.")
  var keep: String?

  mutating func validate() throws {
    guard (1...20_000).contains(units) else {
      throw ValidationError("--units must be between 1 and 20000")
    }
    guard program != nil || (!listing && keep == nil) else {
      throw ValidationError("--listing and --keep need --program")
    }
  }

  mutating func run() throws {
    if let program, listing {
      print(Listing.text(Generator.make(seed: seed, number: program, units: units)))
      return
    }
    let judge = try Judge(seed: seed, units: units)
    if let program {
      try runOne(program, judge)
      return
    }
    let began = Date()
    var number: UInt64 = 0
    var next = try judge.start(0)
    while judge.randomInsns < insns {
      let traced = traceEvery > 0 && number % traceEvery == 0
      let current = next
      // QEMU has the next program to chew on while we run this one.
      next = try judge.start(number + 1)
      if let difference = try judge.compare(current, traced: traced) {
        print(difference.text)
        throw ExitCode(1)
      }
      number += 1
    }
    let seconds = Date().timeIntervalSince(began)
    let text = """
      \(number) programs, \(judge.randomInsns) random instructions executed (\(judge.allInsns) with \
      checkpoints), \(Variant.allCases.count) ways each; \(judge.traced) programs traced
      \(judge.rowsSeen) of \(Encodings.allRows.count) encoding rows executed; not: \
      \(judge.rowsNotSeen.joined(separator: " "))
      no difference; seed \(seed), \(String(format: "%.1f", seconds)) s
      """
    print(text)
  }

  private func runOne(_ number: UInt64, _ judge: Judge) throws {
    if let keep {
      let made = Generator.make(seed: seed, number: number, units: units)
      try Data(made.file).write(to: URL(fileURLWithPath: keep))
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: keep)
    }
    if let difference = try judge.compare(try judge.start(number), traced: true) {
      print(difference.text)
      throw ExitCode(1)
    }
    print(
      "program \(number) of seed \(seed): \(judge.randomInsns) random instructions, no difference")
  }
}

/// A difference, told.
struct Difference {
  var text: String
}

/// A program that QEMU is running.
struct Started {
  let number: UInt64
  let program: RandomProgram
  let qemu: QEMURun
}

/// Compares programs.
final class Judge {
  let seed: UInt64
  let units: Int
  let qemu: QEMU
  private(set) var randomInsns: UInt64 = 0
  private(set) var allInsns: UInt64 = 0
  private(set) var traced = 0
  /// By index in the table of rows: executed.
  private var rows = [Bool](repeating: false, count: Encodings.allRows.count)
  private let rowIndex = Dictionary(
    uniqueKeysWithValues: Encodings.allRows.enumerated().map { ($0.element.pattern, $0.offset) })

  var rowsSeen: Int { rows.count { $0 } }
  var rowsNotSeen: [String] {
    zip(rows, Encodings.allRows).filter { !$0.0 }.map(\.1.mnemonic)
  }

  init(seed: UInt64, units: Int) throws {
    self.seed = seed
    self.units = units
    qemu = try QEMU()
  }

  func start(_ number: UInt64, _ options: Checkpoints = .usual) throws -> Started {
    let program = Generator.make(seed: seed, number: number, units: units, options: options)
    return Started(number: number, program: program, qemu: try qemu.start(program.file))
  }

  func runHere(_ program: RandomProgram, _ variant: Variant, _ number: UInt64) throws -> OurResult {
    var slices = SplitMix(seed: number ^ 0x5eed)
    let limit = UInt64(units) * 2000 + 100_000
    return try OurRun(program, variant).run(
      limit: limit, slices: &slices, sliced: variant == .sliced)
  }

  /// Runs every variant and compares, and says where it differs.
  func compare(_ started: Started, traced: Bool) throws -> Difference? {
    let program = started.program
    let theirs = try started.qemu.finish()
    guard theirs.status == 0 else {
      let text = "qemu-riscv64 ended with status \(theirs.status)"
      return Difference(text: text + reproduction(started.number))
    }
    var counts: [UInt64] = []
    for variant in Variant.allCases {
      let ours = try runHere(program, variant, started.number)
      if let failure = ours.failure {
        return try locate(
          started.number, variant, "here (\(variant.rawValue)): \(failure)", ours.output,
          theirs.output)
      }
      if ours.output != theirs.output {
        return try locate(
          started.number, variant, "\(variant.rawValue) differs from qemu-riscv64", ours.output,
          theirs.output)
      }
      counts.append(ours.count)
      if ours.exceptions != 0 { return Difference(text: "exceptions were taken") }
      if variant == .observed {
        note(program, ours)
        if UInt64(ours.path.count) != ours.count {
          let text = "observed \(ours.path.count) instructions, counted \(ours.count)"
          return Difference(text: text + reproduction(started.number))
        }
        if traced, let text = try comparePath(program, ours) {
          return Difference(text: text + reproduction(started.number))
        }
      }
    }
    guard Set(counts).count == 1 else {
      let text = zip(Variant.allCases, counts).map { "\($0.rawValue) \($1)" }
      return Difference(
        text: "instruction counts differ: " + text.joined(separator: ", ")
          + reproduction(started.number))
    }
    return nil
  }

  private func note(_ program: RandomProgram, _ ours: OurResult) {
    allInsns += ours.count
    let plumbing = Set(
      program.plumbing.flatMap { stride(from: $0.lowerBound, to: $0.upperBound, by: 2) })
    var seen = Set<UInt64>()
    for pc in ours.path where !plumbing.contains(pc) {
      randomInsns += 1
      guard seen.insert(pc).inserted, let (bits, _) = program.insn(at: pc),
        let row = Encodings.row(of: bits), let index = rowIndex[row.pattern]
      else { continue }
      rows[index] = true
    }
  }

  private func comparePath(_ program: RandomProgram, _ ours: OurResult) throws -> String? {
    traced += 1
    let theirs = try qemu.path(program)
    guard theirs != ours.path else { return nil }
    let same = zip(theirs, ours.path).prefix { $0 == $1 }.count
    let their = same < theirs.count ? hex(theirs[same]) : "nothing"
    let our = same < ours.path.count ? hex(ours.path[same]) : "nothing"
    return """
      the paths differ after \(same) instructions: here \(our), qemu-riscv64 \(their) \
      (\(ours.path.count) and \(theirs.count) in all)
      """
  }

  private func reproduction(_ number: UInt64) -> String {
    let units = units == 1200 ? "" : " --units \(units)"
    return "\n  again: emu-conformance random --seed \(seed)\(units) --program \(number)"
  }
}
