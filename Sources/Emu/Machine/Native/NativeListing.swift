import Engine
import Image
import TraceFile
import X86

/// A register trace of a native program as instructions.
enum NativeListing {
  /// Writes the instructions from one number to another.
  static func write(
    _ file: TraceReader, _ options: TraceRun.Options
  ) throws(LaunchError)
    -> RunReport
  {
    let path = options.replay.input
    let isa = X86TraceISA(features: .all)
    guard options.format.serves(isa), options.format != .blocks else {
      throw LaunchError(
        description: "\(path): a register trace is written as text, json or perfetto",
        status: RunReport.Status.usage)
    }
    let output: TraceOutput
    do throws(HostFileError) {
      output = try TraceOutput(options.output, name: "trace", isOutput: true)
    } catch {
      throw LaunchError(description: error.description, status: RunReport.Status.failure)
    }
    let symbols = symbols(file)
    let writer = InsnWriter(
      options.format, isa, showsCounts: options.showsCounts, symbol: symbols,
      write: { output.write($0) })
    var status: Int32 = 0
    var messages: [String] = []
    do throws(TraceFileError) {
      var reader = NativeLogReader(file)
      while output.isOpen, !Interruption.requested, reader.insns < options.to,
        let event = try reader.next()
      {
        guard case .step(let pc, let bytes, let changes, let next) = event,
          reader.insns > options.from
        else { continue }
        var record = InsnRecord(
          count: reader.insns - 1, mode: "3", modeNumber: 3, pc: pc, bytes: bytes)
        record.next = next
        record.writes = changes.map { change in
          let register = X86TraceISA.program[change.register]
          return .init(name: register.name, slot: register.slot, value: change.value)
        }
        writer.add(record)
      }
      if reader.end == nil, output.isOpen, !Interruption.requested, reader.insns < options.to {
        messages.append("\(path): the trace was cut off behind instruction \(reader.insns)")
        status = ReplayRun.Status.unreadable
      }
    } catch {
      messages.append(error.named(path))
      status = ReplayRun.Status.unreadable
    }
    writer.finish()
    output.flush()
    if let problem = output.problem { return RunReport(status: RunReport.Status.failure, problem) }
    var report = RunReport(status: status)
    report.messages = messages
    return report
  }

  /// The symbols of the program, if its file is what it was.
  private static func symbols(_ file: TraceReader) -> (UInt64) -> String? {
    guard let index = file.chunks.firstIndex(where: { $0.header.kind == .configuration }),
      let record = try? file.record(index),
      let description = try? RunDescription(decoding: record.bytes),
      let path = description["program"], let bytes = try? Host.contents(of: path),
      description["program hash"] == SHA256.text(SHA256.hash(bytes)),
      let elf = try? ELFFile(bytes)
    else { return { _ in nil } }
    guard let base = description["base"].flatMap({ UInt64($0, radix: 16) }) else {
      return { _ in nil }
    }
    let first = elf.header.loadable.first.map { $0.address & ~4095 } ?? 0
    return { pc in
      elf.symbols.symbol(at: pc &- base &+ first).map { found in
        found.offset == 0
          ? found.symbol.name : "\(found.symbol.name)+0x\(String(found.offset, radix: 16))"
      }
    }
  }
}
