// Reads a mask or image file with $readmemh, prints every word and the number of ones.
// Parameters DEPTH and WIDTH on the command line of the compiler, +file=PATH on that of the simulator.
module mask_tb;
  parameter DEPTH = 1;
  parameter WIDTH = 1;

  reg [WIDTH-1:0] words [0:DEPTH-1];
  reg [8*4096-1:0] file;
  integer word, bit_index, ones;

  initial begin
    if (!$value$plusargs("file=%s", file)) begin
      $display("no +file");
      $finish;
    end
    $readmemh(file, words);
    ones = 0;
    for (word = 0; word < DEPTH; word = word + 1) begin
      for (bit_index = 0; bit_index < WIDTH; bit_index = bit_index + 1)
        if (words[word][bit_index] === 1'b1) ones = ones + 1;
      $display("word %0d %h", word, words[word]);
    end
    $display("ones %0d", ones);
    $finish;
  end
endmodule
