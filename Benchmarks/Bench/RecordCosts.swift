import ArgumentParser
import Glibc

extension Bench {
  /// What recording costs, how fast replays and instruction traces are, and how soon a place in a long
  /// run is reached.
  func measureRecord() throws {
    let image = "\(images)/user/riscv64/kbench.elf"
    let folder = "/tmp/emu-bench-record-\(getpid())"
    mkdir(folder, 0o700)
    defer { for name in ["t", "b"] { unlink("\(folder)/\(name)") } }
    defer { rmdir(folder) }
    let trace = "\(folder)/t"
    printLine("record and replay (\(image), x1000): CPU seconds of the process")
    printLine(row("kernel", "run", "record", "more", "replay", "to run"))
    for kernel in ["crc", "sort", "calls"] {
      var plain = Samples()
      var recorded = Samples()
      var replayed = Samples()
      for _ in 0..<runs {
        plain.add(try good([emu, "run", image, kernel, "x1000"]))
        recorded.add(try good([emu, "record", "-o", trace, image, kernel, "x1000"]))
        replayed.add(try good([emu, "replay", trace]))
      }
      let more = (recorded.cpu.median / plain.cpu.median - 1) * 100
      printLine(
        row(
          kernel, text(plain.cpu.median, 3), text(recorded.cpu.median, 3), text(more, 1) + "%",
          text(replayed.cpu.median, 3), text(plain.cpu.median / replayed.cpu.median, 2)))
    }
    printLine("instruction trace (--format blocks; goals: 100 million a second, 1 byte)")
    printLine(row("kernel", "M insns", "wall s", "M/s", "bytes/i", ""))
    for kernel in ["crc", "sort", "calls"] {
      _ = try good([emu, "record", "--no-snapshots", "-o", trace, image, kernel])
      var walls = Series()
      var figures: [Double] = []
      for _ in 0..<runs {
        let blocks = ["--format", "blocks", "-o", "\(folder)/b", "--stats"]
        let run = try good([emu, "trace", trace] + blocks)
        walls.values.append(run.wall)
        figures = run.errors.split(separator: "\n").compactMap { line in
          let parts = line.split(separator: ",")[0].filter { $0.isNumber || $0 == "." }
          return Double(parts)
        }
      }
      guard figures.count >= 3 else { throw ExitCode(1) }
      let insns = figures[0]
      printLine(
        row(
          kernel, text(insns / 1e6, 0), text(walls.median, 3),
          text(insns / walls.median / 1e6, 0), text(figures[2] / insns, 4), ""))
    }
    try measureTravel(trace)
  }

  /// A run of ten thousand million instructions, and places in it.
  private func measureTravel(_ trace: String) throws {
    let total = 10_000_000_000.0
    let run = try limited([
      emu, "record", "-o", trace, "--max-insns", "10G", "\(images)/user/riscv64/kbench.elf",
      "all", "x1000",
    ])
    printLine(
      "travel in a run of 10 G instructions, recorded in \(text(run.wall, 1)) s (goal: 1 s)")
    printLine(row("to", "wall s", "", "", "", ""))
    for part in [0.05, 0.25, 0.5, 0.75, 0.999] {
      let count = "\(UInt64(total * part))"
      var walls = Series()
      for _ in 0..<runs {
        walls.values.append(try good([emu, "replay", trace, "--to", count]).wall)
      }
      printLine(row(text(part * 100, 1) + "%", text(walls.median, 3), walls.spread, "", "", ""))
    }
    printLine("")
  }

  /// A command that ends at its limit.
  private func limited(_ command: [String]) throws -> ChildRun {
    guard let run = runChild(command), run.status == 124 else {
      printLine("emu-bench: failed: \(command.joined(separator: " "))")
      throw ExitCode(1)
    }
    return run
  }
}
