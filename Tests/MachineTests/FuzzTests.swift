import Engine
import Foundation
import Fuzz
import Testing

/// A second or two of what `emu-conformance fuzz` does for hours.
@Suite struct FuzzTests {
  private static let cases: [(FuzzPart, UInt64)] = [
    (.loader, 40), (.decoder, 10), (.user, 15), (.gate, 25), (.bare, 15), (.budget, 15),
    (.engine, 30), (.scenario, 150), (.trace, 60),
  ]

  @Test(arguments: FuzzPart.allCases)
  func nothingCrashesOrDiffers(part: FuzzPart) throws {
    let count = try #require(Self.cases.first { $0.0 == part }).1
    let fuzzer = Fuzzer(part, seed: 1, images: try Images.files())
    for number in 0..<count {
      do throws(FuzzFailure) {
        _ = try fuzzer.run(number)
      } catch {
        let line = "emu-conformance fuzz --part \(part.rawValue) --seed 1 --case \(number)"
        Issue.record("\(line): \(error)")
      }
    }
  }
}

extension Images {
  /// The programs that the loader's files are made from.
  fileprivate static func files() throws -> [[UInt8]] {
    try ["hello", "hello-pie", "floats"].map { try bytes("user/riscv64/\($0).elf") }
      + ["multiboot64", "long"].map { try bytes("bare/x86_64/\($0).elf") }
  }
}
