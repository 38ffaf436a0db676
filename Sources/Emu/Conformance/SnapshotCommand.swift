import ArgumentParser
import Foundation
import Fuzz

/// `emu-conformance snapshot`.
struct SnapshotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "snapshot",
    abstract: "Stops machines at random counts, takes snapshots and goes back to them.",
    discussion: """
      Programs under the guest kernel, with and without probes, and bare images; with both engines and \
      both cache models; on the same machine and, by way of bytes, on another one. Everywhere the \
      state must be the same. A failure is one line that repeats it.

      Examples:
        emu-conformance snapshot
        emu-conformance snapshot --stops 100000 --seed 7
      """)

  @Option(help: "How many snapshots, at least.")
  var stops: UInt64 = 2000

  @Option(help: "What the cases follow from.")
  var seed: UInt64 = 1

  @Option(name: .customLong("case"), help: "Only this case.")
  var only: UInt64?

  @Option(help: "Most instructions of a run.")
  var maxInsns: UInt64 = 5_000_000

  @Option(help: "The guest images.")
  var images = "images"

  /// Programs with their arguments; then images of boards.
  private static let programs: [(String, [String])] = [
    ("forks", []), ("threads", []), ("signals", []), ("files", []), ("proc", []),
    ("mapfile", []), ("hello-pie", ["a"]), ("forkbench", ["20"]), ("clocks", []), ("jumps", []),
    ("cat", []), ("mallocs", []), ("selftest", ["h", "500"]),
  ]
  private static let boards: [(String, Int, Bool)] = [
    ("paging", 1, false), ("sbi", 1, true), ("smc", 1, false), ("smp", 2, false),
    ("traps", 1, false), ("tohost", 1, false),
  ]

  mutating func run() throws {
    let began = Date()
    var seen: UInt64 = 0
    var number = only ?? 0
    while seen < stops {
      let fuzz = try SnapshotFuzz(guest(number), limit: maxInsns)
      do {
        seen += try fuzz.run(seed: seed &* 1_000_003 &+ number)
      } catch {
        print("emu-conformance snapshot --seed \(seed) --case \(number): \(error)")
        throw ExitCode(1)
      }
      number += 1
      if only != nil { break }
    }
    let seconds = String(format: "%.1f", Date().timeIntervalSince(began))
    print("\(number) cases, \(seen) snapshots, no difference; seed \(seed), \(seconds) s")
  }

  private func guest(_ number: UInt64) throws -> SnapshotFuzz.Guest {
    let all = Self.programs.count + Self.boards.count
    let index = Int(number % UInt64(all))
    if index < Self.programs.count {
      let (name, arguments) = Self.programs[index]
      return .program(try bytes("user/riscv64/\(name).elf"), arguments: arguments)
    }
    let (name, harts, supervisor) = Self.boards[index - Self.programs.count]
    return .board(try bytes("bare/riscv64/\(name).elf"), harts: harts, supervisor: supervisor)
  }

  private func bytes(_ name: String) throws -> [UInt8] {
    let path = images + "/" + name
    guard let data = FileManager.default.contents(atPath: path) else {
      throw ToolError(description: "\(path) can't be read")
    }
    return [UInt8](data)
  }
}
