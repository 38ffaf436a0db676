import ArgumentParser
import Foundation
import Fuzz

/// `emu-conformance jit`.
struct JITCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "jit",
    abstract: "Runs random code on the interpreter and on the JIT, stopped at random counts.",
    discussion: """
      At every stop all that the guest can see must be equal; memory is compared now and then and at \
      the end. The JIT's fast paths are forced to be slow by turns: one-entry TLB, one register, \
      blocks of one instruction, a few KiB of code. A failure is one line that repeats it.

      Examples:
        emu-conformance jit
        emu-conformance jit --stops 100000000 --seed 7
      """)

  @Option(help: "How many stops.")
  var stops: UInt64 = 10_000_000

  @Option(help: "What the cases follow from.")
  var seed: UInt64 = 1

  mutating func run() throws {
    let fuzzer = Fuzzer(.engine, seed: seed, images: [])
    let began = Date()
    var seen: UInt64 = 0
    var number: UInt64 = 0
    while seen < stops {
      do {
        seen += try fuzzer.run(number)
      } catch {
        print("emu-conformance fuzz --part engine --seed \(seed) --case \(number): \(error)")
        throw ExitCode(1)
      }
      number += 1
    }
    let seconds = String(format: "%.1f", Date().timeIntervalSince(began))
    print("\(number) cases, \(seen) stops, no difference; seed \(seed), \(seconds) s")
  }
}
